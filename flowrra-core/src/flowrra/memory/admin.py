"""What an operator may ask a memory broker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from flowrra.clock import Clock
from flowrra.memory.stored import StoredTask
from flowrra.memory.table import REMEMBER, TaskTable
from flowrra.message import Entry, Place, QueueCounts
from flowrra.reports import Cancellation, EntryPage

#: Who claims the tasks that are cancelled while they wait.
_CANCELLER: Final = "cancel"


class MemoryAdmin:
    """Looks into the table of a memory broker, and changes it."""

    def __init__(self, table: TaskTable, clock: Clock, wake: Callable[[], None]) -> None:
        self._table = table
        self._clock = clock
        self._wake = wake

    async def find(self, ids: Sequence[str]) -> list[Entry | None]:
        """The entry of each id, or None."""
        found = map(self._table.tasks.get, ids)
        return [task.entry() if task else None for task in found]

    async def cancel(self, ids: Sequence[str], lease: float) -> list[Cancellation]:
        """Claim what waits, mark what runs."""
        answers = [self._cancel(task_id, lease) for task_id in ids]
        self._wake()
        return answers

    def _cancel(self, task_id: str, lease: float) -> Cancellation:
        task = self._table.tasks.get(task_id)
        if task is None or task.place is Place.DEAD:
            return Cancellation()
        if task.place is Place.LEASED and task.lease_until > self._clock.monotonic():
            task.cancelled = True
            return Cancellation(running=True)
        task = self._table.withdraw(task)
        now, monotonic = self._clock.time(), self._clock.monotonic()
        [delivery] = self._table.lease([task], lease, now, monotonic, _CANCELLER)
        return Cancellation(delivery=delivery)

    async def counts(self, queues: Sequence[str] | None = None) -> list[QueueCounts]:
        """Count every place of each queue."""
        table, now = self._table, self._clock.time()
        places: defaultdict[str, defaultdict[Place, int]] = defaultdict(lambda: defaultdict(int))
        oldest: dict[str, float] = {}
        for task in table.tasks.values():
            queue = task.message.queue
            places[queue][task.place] += 1
            if task.place is Place.READY:
                oldest[queue] = min(oldest.get(queue, task.submitted_at), task.submitted_at)
        names = sorted({*places, *table.paused}) if queues is None else queues
        return [
            QueueCounts(
                queue,
                ready=places[queue][Place.READY],
                delayed=places[queue][Place.DELAYED],
                leased=places[queue][Place.LEASED],
                dead=places[queue][Place.DEAD],
                paused=queue in table.paused,
                oldest_age=now - oldest[queue] if queue in oldest else None,
            )
            for queue in names
        ]

    async def peek(self, queue: str, place: Place, limit: int, cursor: str | None = None) -> EntryPage:
        """A page of one place of one queue. The cursor is the sort key of the last entry before it."""
        key = _ORDER[place]
        tasks = sorted(self._in(queue, (place,)), key=key)
        if cursor is not None:
            first, _, second = cursor.partition("/")
            before = float(first), int(second)
            tasks = [task for task in tasks if key(task) > before]
        page = [task.entry() for task in tasks[:limit]]
        if len(tasks) <= limit:
            return EntryPage(page)
        first_key, second_key = key(tasks[limit - 1])
        return EntryPage(page, f"{first_key!r}/{second_key}")

    async def pause(self, queue: str) -> None:
        """Stop claims from *queue*."""
        self._table.paused.add(queue)

    async def resume(self, queue: str) -> None:
        """Allow claims from *queue*."""
        self._table.paused.discard(queue)
        self._wake()

    async def purge(self, queue: str, places: Sequence[Place]) -> int:
        """Delete what waits or is dead in *queue*."""
        doomed = list(self._in(queue, [place for place in places if place is not Place.LEASED]))
        for task in doomed:
            self._table.finish(self._table.withdraw(task), self._clock.time() + REMEMBER)
        self._wake()
        return len(doomed)

    async def requeue(self, ids: Sequence[str]) -> list[bool]:
        """Make dead tasks ready."""
        answers = [self._requeue(task_id) for task_id in ids]
        self._wake()
        return answers

    def _requeue(self, task_id: str) -> bool:
        task = self._table.tasks.get(task_id)
        if task is None or task.place is not Place.DEAD:
            return False
        self._table.revive(task)
        return True

    def _in(self, queue: str, places: Sequence[Place]) -> Iterator[StoredTask]:
        return (
            task
            for task in self._table.tasks.values()
            if task.place in places and task.message.queue == queue
        )


#: Sort keys, in the order in which tasks leave.
_ORDER: Final[dict[Place, Callable[[StoredTask], tuple[float, int]]]] = {
    Place.READY: lambda task: (task.message.priority, task.sequence),
    Place.DELAYED: lambda task: (task.due or 0.0, task.sequence),
    Place.LEASED: lambda task: (task.claimed_at or 0.0, task.sequence),
    Place.DEAD: lambda task: (-(task.due or 0.0), -task.sequence),
}
