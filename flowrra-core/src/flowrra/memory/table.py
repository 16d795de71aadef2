"""Where every task of a memory broker stands: plain data structures, no waiting, no locks.

Every move is O(1) or O(log n); nothing is ever searched for.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from copy import copy
from heapq import heappop, heappush
from itertools import count
from typing import Final

from flowrra.memory.stored import ReadyLine, StoredTask
from flowrra.message import Delivery, Message, Place, Receipt

#: Seconds for which a finished task's id is remembered, so that it is not accepted again.
REMEMBER: Final = 24 * 3600.0
#: The most ids that are remembered, the oldest are forgotten first.
REMEMBER_AT_MOST: Final = 100_000


class TaskTable:
    """All tasks of one broker. Callers give the times: epoch seconds for due times, monotonic for leases."""

    def __init__(self) -> None:
        self.tasks: dict[str, StoredTask] = {}
        self.paused: set[str] = set()
        #: Ready and delayed tasks together.
        self.waiting: int = 0
        self._ready: defaultdict[tuple[str, str], ReadyLine] = defaultdict(ReadyLine)
        self._delayed: list[tuple[float, int, StoredTask]] = []
        # Leases of one length expire in the order in which they were given: one ordered dict per length.
        self._leased: defaultdict[float, dict[str, StoredTask]] = defaultdict(dict)
        self._served: dict[str, str] = {}
        self._unique: dict[tuple[str, str], str] = {}
        self._finished: dict[str, float] = {}
        self._ticks: dict[str, float] = {}
        self._sequence = count()

    def duplicate_of(self, message: Message, now: float) -> str | None:
        """The id of the task that makes *message* a duplicate, if there is one."""
        if message.id in self.tasks or self._finished.get(message.id, 0) > now:
            return message.id
        if message.schedule is not None and message.fire_time is not None:
            last = self._ticks.get(message.schedule)
            if last is not None and message.fire_time <= last:
                return message.id
        if message.unique_key is not None:
            return self._unique.get((message.queue, message.unique_key))
        return None

    def add(self, message: Message, now: float) -> None:
        """Take in a message that is no duplicate."""
        task = self.tasks[message.id] = StoredTask(message, next(self._sequence), now)
        if message.unique_key is not None:
            self._unique[message.queue, message.unique_key] = message.id
        if message.schedule is not None and message.fire_time is not None:
            self._ticks[message.schedule] = message.fire_time
        due = now + message.delay if message.eta is None else message.eta
        if due > now:
            self._delay(task, due)
        else:
            self.waiting += 1
            self._ready[message.queue, message.lane].append(task)

    def _join(self, task: StoredTask) -> None:
        """Put a task behind those of its priority."""
        task.place = Place.READY
        task.due = None
        task.sequence = next(self._sequence)
        self.waiting += 1
        self._ready[task.message.queue, task.message.lane].append(task)

    def _restore(self, task: StoredTask) -> None:
        """Put a task back into its old place in the line."""
        task.place = Place.READY
        self.waiting += 1
        self._ready[task.message.queue, task.message.lane].restore(task)

    def _delay(self, task: StoredTask, due: float) -> None:
        """Keep a task back until *due*."""
        task.place = Place.DELAYED
        task.due = due
        self.waiting += 1
        heappush(self._delayed, (due, next(self._sequence), task))

    def promote(self, now: float) -> float | None:
        """Make ready what is due. Seconds until the next is due, or None."""
        heap = self._delayed
        while heap:
            due, _, task = heap[0]
            current = task.place is Place.DELAYED and task.due == due
            if current and due > now:
                return due - now
            heappop(heap)
            if current:
                self.waiting -= 1
                self._join(task)
        return None

    def reap(self, monotonic: float) -> float | None:
        """Make ready, in its old place, what lost its lease. Seconds until the next lease ends, or None."""
        soonest: float | None = None
        for leased in self._leased.values():
            for task in list(_expired(leased, monotonic)):
                del leased[task.message.id]
                self._restore(task)
            for first in leased.values():
                left = first.lease_until - monotonic
                soonest = left if soonest is None else min(soonest, left)
                break
        return soonest

    def take(self, queues: Sequence[str], lane: str, most: int) -> list[StoredTask]:
        """Remove and return up to *most* ready tasks, one from each queue in turn."""
        lines = [
            (queue, line)
            for queue in self._in_turn(queues, lane)
            if queue not in self.paused and (line := self._ready.get((queue, lane)))
        ]
        taken = lines[0][1].pop(most) if len(lines) == 1 else self._take_in_turn(deque(lines), lane, most)
        self.waiting -= len(taken)
        return taken

    def _take_in_turn(self, lines: deque[tuple[str, ReadyLine]], lane: str, most: int) -> list[StoredTask]:
        taken: list[StoredTask] = []
        while lines and len(taken) < most:
            queue, line = lines.popleft()
            if found := line.pop(1):
                taken += found
                self._served[lane] = queue
                lines.append((queue, line))
        return taken

    def _in_turn(self, queues: Sequence[str], lane: str) -> Sequence[str]:
        """The queues, beginning behind the one that was served last."""
        served = self._served.get(lane)
        if len(queues) < 2 or served not in queues:
            return queues
        start = queues.index(served) + 1
        return [*queues[start:], *queues[:start]]

    def lease(
        self, tasks: Sequence[StoredTask], lease: float, now: float, monotonic: float, worker: str
    ) -> list[Delivery]:
        """Hand out tasks that were taken before."""
        leased = self._leased[lease]
        deliveries: list[Delivery] = []
        for task in tasks:
            task.place = Place.LEASED
            task.fence += 1
            task.deliveries += 1
            task.claimed_at = now
            task.worker = worker
            if task.fence > 1:
                task.progress = None
                task.cancelled = False
            task.lease = lease
            task.lease_until = monotonic + lease
            message = task.message
            leased[message.id] = task
            receipt = Receipt(message.id, message.queue, task.fence)
            deliveries.append(
                Delivery(
                    message, receipt, task.deliveries, task.submitted_at, now, task.expires_at, task.state
                )
            )
        return deliveries

    def renew(self, task: StoredTask, lease: float, monotonic: float) -> None:
        """Extend a lease."""
        del self._leased[task.lease][task.message.id]
        task.lease = lease
        task.lease_until = monotonic + lease
        self._leased[lease][task.message.id] = task

    def current(self, receipt: Receipt) -> StoredTask | None:
        """The task, if nobody has claimed it since the receipt was given."""
        task = self.tasks.get(receipt.id)
        if task is None or task.fence != receipt.fence or task.place is Place.DEAD:
            return None
        return task

    def withdraw(self, task: StoredTask) -> StoredTask:
        """Take a task from its place, whichever it is, and return what stands for it from now on."""
        if task.place is Place.LEASED:
            del self._leased[task.lease][task.message.id]
        elif task.place is not Place.DEAD:
            self.waiting -= 1
            if task.place is Place.READY:
                twin = self.tasks[task.message.id] = copy(task)
                task.ghost = True
                return twin
            task.due = None  # what the heap of delayed tasks is left with no longer counts
        return task

    def put_back(self, task: StoredTask, counted: bool, due: float | None) -> None:
        """Let a withdrawn task run again: at *due*, or at once in its old place. Its receipts end here."""
        task.fence += 1
        if not counted:
            task.deliveries -= 1
        if due is None:
            self._restore(task)
        else:
            self._delay(task, due)

    def finish(self, task: StoredTask, until: float) -> None:
        """Forget a withdrawn task, and its id after *until*."""
        message = task.message
        del self.tasks[message.id]
        if message.unique_key is not None:
            self._free_key(message)
        self._finished[message.id] = until

    def bury(self, task: StoredTask, reason: str | None, now: float) -> None:
        """Keep a withdrawn task among the dead."""
        task.place = Place.DEAD
        task.reason = reason
        task.due = now
        self._free_key(task.message)

    def revive(self, task: StoredTask) -> None:
        """Make a dead task ready, as if new but for its fence. The receipt that buried it ends here."""
        task.fence += 1
        task.deliveries = 0
        task.state = b""
        task.reason = None
        if task.message.unique_key is not None:
            self._unique.setdefault((task.message.queue, task.message.unique_key), task.message.id)
        self._join(task)

    def _free_key(self, message: Message) -> None:
        if (
            message.unique_key is not None
            and self._unique.get((message.queue, message.unique_key)) == message.id
        ):
            del self._unique[message.queue, message.unique_key]

    def forget(self, now: float) -> None:
        """Forget ids of finished tasks that are too old or too many."""
        finished = self._finished
        while finished:
            oldest = next(iter(finished))
            if len(finished) <= REMEMBER_AT_MOST and finished[oldest] > now:
                return
            del finished[oldest]


def _expired(leased: dict[str, StoredTask], monotonic: float) -> Iterator[StoredTask]:
    for task in leased.values():
        if task.lease_until > monotonic:
            return
        yield task
