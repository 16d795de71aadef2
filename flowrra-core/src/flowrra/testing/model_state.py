"""What a broker should hold: the contract once more, as simple as can be, for the broker model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from flowrra.message import Acceptance, Delivery, Enqueued, Message, Place, Receipt, Settlement, Verdict


@dataclass
class Expected:
    """One task as it should be."""

    message: Message
    number: float  #: its turn among tasks of its priority
    place: Place = Place.READY
    due: float = 0.0
    lease_until: float = 0.0
    deliveries: int = 0
    receipt: Receipt | None = None  #: the one that counts
    fence: int = 0  #: the highest that was seen
    state: bytes = b""
    progress: bytes | None = None
    cancelled: bool = False

    @property
    def turn(self) -> tuple[int, float]:
        """What tasks of a lane are sorted by."""
        return self.message.priority, self.number


class ExpectedBroker:
    """Plain lists and loops; knows nothing of the broker that it is compared with."""

    def __init__(self, limit: int, bounds_each_queue: bool) -> None:
        self.limit = limit
        self.bounds_each_queue = bounds_each_queue
        self.tasks: dict[str, Expected] = {}
        self.finished: set[str] = set()
        self.paused: set[str] = set()
        self.ticks: dict[str, float] = {}
        self._number = 0

    def _next(self) -> int:
        self._number += 1
        return self._number

    def those(self, test: Callable[[Expected], bool]) -> list[Expected]:
        """The tasks for which something is true."""
        return [task for task in self.tasks.values() if test(task)]

    def waiting(self, queue: str) -> list[Expected]:
        """Ready and delayed tasks that count against the bound of *queue*."""
        waiting = self.those(lambda task: task.place in (Place.READY, Place.DELAYED))
        return [task for task in waiting if not self.bounds_each_queue or task.message.queue == queue]

    def enqueue(self, message: Message, now: float) -> Enqueued:
        """What the broker should answer."""
        earlier = self._earlier(message)
        if earlier is not None:
            return Enqueued(Acceptance.DUPLICATE, earlier)
        if len(self.waiting(message.queue)) >= self.limit:
            return Enqueued(Acceptance.FULL, message.id)
        task = self.tasks[message.id] = Expected(message, self._next())
        if message.delay:
            task.place, task.due = Place.DELAYED, now + message.delay
        if message.schedule is not None and message.fire_time is not None:
            self.ticks[message.schedule] = message.fire_time
        return Enqueued(Acceptance.ACCEPTED, message.id)

    def _earlier(self, message: Message) -> str | None:
        if message.id in self.tasks or message.id in self.finished:
            return message.id
        fire_time, schedule = message.fire_time, message.schedule
        if schedule is not None and fire_time is not None and fire_time <= self.ticks.get(schedule, -1.0):
            return message.id
        holder = self.holder(message.queue, message.unique_key)
        return holder.message.id if holder else None

    def holder(self, queue: str, key: str | None) -> Expected | None:
        """The task that holds a unique key."""
        if key is None:
            return None
        for task in self.tasks.values():
            if (task.message.queue, task.message.unique_key) == (queue, key) and task.place is not Place.DEAD:
                return task
        return None

    def tidy(self, now: float) -> None:
        """What a claim does on the way: due tasks and lost leases become ready."""
        for task in self.those(lambda task: task.place is Place.LEASED and task.lease_until <= now):
            task.place = Place.READY
        late = self.those(lambda task: task.place is Place.DELAYED and task.due <= now)
        for task in sorted(late, key=lambda task: task.due):
            task.place, task.number = Place.READY, self._next()

    def line(self, queue: str, lane: str) -> list[Expected]:
        """The tasks of one queue and lane in the order in which they should leave."""
        if queue in self.paused:
            return []
        ready = self.those(
            lambda task: (
                task.place is Place.READY and (task.message.queue, task.message.lane) == (queue, lane)
            )
        )
        return sorted(ready, key=lambda task: task.turn)

    def check_claim(
        self, queues: Sequence[str], room: dict[str, int], deliveries: Iterable[Delivery]
    ) -> None:
        """Whether the right tasks came, in the right order, and in turn."""
        came = list(deliveries)
        for lane, most in room.items():
            lines = {queue: [task.message.id for task in self.line(queue, lane)] for queue in queues}
            got = {queue: _ids(came, queue, lane) for queue in queues}
            for queue in queues:
                assert got[queue] == lines[queue][: len(got[queue])], f"out of order in {queue!r}, {lane!r}"
            assert sum(map(len, got.values())) == min(most, sum(map(len, lines.values()))), "too few or many"
            longest = max(len(ids) for ids in got.values())
            starved = [queue for queue in queues if len(got[queue]) < min(longest - 1, len(lines[queue]))]
            assert not starved, f"not served in turn: {starved}"
        assert all(delivery.message.lane in room for delivery in came)

    def hand_out(self, delivery: Delivery, until: float) -> None:
        """Note a delivery, and check what it says."""
        task = self.tasks[delivery.message.id]
        assert delivery.receipt.fence > task.fence, "the fence doesn't rise"
        assert delivery.deliveries == task.deliveries + 1, "deliveries are miscounted"
        assert (delivery.message, delivery.state) == (task.message, task.state)
        task.place, task.lease_until = Place.LEASED, until
        task.deliveries, task.receipt, task.fence = (
            delivery.deliveries,
            delivery.receipt,
            delivery.receipt.fence,
        )
        task.progress, task.cancelled = None, False

    def holding(self, receipt: Receipt) -> Expected | None:
        """The task for which a receipt counts."""
        task = self.tasks.get(receipt.id)
        return task if task is not None and task.receipt == receipt else None

    def settle(self, settlement: Settlement, now: float) -> bool:
        """What the broker should answer."""
        task = self.holding(settlement.receipt)
        if task is None:
            return False
        task.receipt = None
        if settlement.verdict is Verdict.DONE:
            self.finish(task)
            return True
        task.state = settlement.state
        if settlement.verdict is Verdict.DEAD:
            task.place = Place.DEAD
            return True
        task.deliveries -= not settlement.counted
        task.place = Place.DELAYED if settlement.delay else Place.READY
        task.due = now + settlement.delay
        return True

    def finish(self, task: Expected) -> None:
        """Remove a task, but for its id."""
        del self.tasks[task.message.id]
        self.finished.add(task.message.id)

    def revive(self, task: Expected) -> None:
        """Make a dead task ready."""
        task.place, task.number, task.deliveries, task.state = Place.READY, self._next(), 0, b""

    def counts(self) -> dict[tuple[str, Place], int]:
        """How many tasks of each queue are in each place."""
        return Counter((task.message.queue, task.place) for task in self.tasks.values())


def _ids(deliveries: Iterable[Delivery], queue: str, lane: str) -> list[str]:
    return [
        delivery.message.id
        for delivery in deliveries
        if (delivery.message.queue, delivery.message.lane) == (queue, lane)
    ]
