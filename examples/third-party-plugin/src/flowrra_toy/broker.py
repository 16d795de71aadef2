"""The broker ``toy://``: the mandatory part of the contract and nothing else.

No priorities, no unique keys, no questions from operators: Flowrra refuses tasks that ask for
the former two, and its commands and pages say that this broker can't answer the latter. What
is left is what every broker owes: at least once, in order, not before it is due, and fenced.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, islice
from typing import Final

from flowrra.clock import Clock, sleep
from flowrra.config import BrokerConfig
from flowrra.exceptions import ConfigError
from flowrra.message import (
    Acceptance,
    Claim,
    Delivery,
    Enqueued,
    Holding,
    Message,
    Receipt,
    Renewal,
    Settlement,
    Verdict,
)
from flowrra.protocols import Backend, BrokerFactory, QueueAdmin, Settler
from flowrra.reports import BrokerCapabilities

#: Seconds for which the id of a finished task stays taken.
MEMORY: Final = 24 * 3600.0
#: Seconds between two looks for work.
NAP: Final = 0.02


@dataclass(slots=True, eq=False)
class Held:
    """A task that this broker holds.

    It waits in line (``ready``), or something happens to it at ``alarm``: a delayed task gets
    in line, and a leased one, whose worker seems to be dead, back into its old place there.
    """

    message: Message
    submitted_at: float
    place: int = 0  #: in line; the lower goes first
    ready: bool = False
    alarm: float | None = None
    fence: int = 0
    leased: bool = False
    deliveries: int = 0
    state: bytes = b""


class ToyBroker:
    """Queues in the memory of one process, used from one loop."""

    def __init__(self, config: BrokerConfig, clock: Clock) -> None:
        if config.max_queue_size is not None:
            raise ConfigError("toy:// queues have no bound; leave max_queue_size out")
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._line: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self._alarms: list[tuple[float, int, str]] = []
        self._finished: dict[str, float] = {}  # in order of time
        self._ticks: dict[str, float] = {}
        self._numbers = count(1)
        self._turn = 0

    @property
    def capabilities(self) -> BrokerCapabilities:
        """Only what is mandatory, and only for this process."""
        return BrokerCapabilities(in_process=True)

    @property
    def admin(self) -> QueueAdmin | None:
        """Nobody to ask."""
        return None

    @property
    def diagnostics(self) -> None:
        """There is no server to look at."""

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of; tasks stay for the next ``open``."""

    def settler(self, backend: Backend) -> Settler | None:
        """No server, so none that is shared with a backend."""
        return None

    # In: each message once, whatever the producer had to repeat.

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        """Accept all but duplicates."""
        now = self._clock.time()
        self._forget(now)
        return [Enqueued(self._accept(message, now), message.id) for message in messages]

    def _accept(self, message: Message, now: float) -> Acceptance:
        if message.id in self._held or message.id in self._finished:
            return Acceptance.DUPLICATE
        if message.schedule is not None and message.fire_time is not None:
            if message.fire_time <= self._ticks.get(message.schedule, float("-inf")):
                return Acceptance.DUPLICATE
            self._ticks[message.schedule] = message.fire_time
        task = self._held[message.id] = Held(message, submitted_at=now)
        self._delay(task, now + message.delay if message.eta is None else message.eta, now)
        return Acceptance.ACCEPTED

    def _forget(self, now: float) -> None:
        """Free the ids of tasks that finished long ago."""
        while self._finished and (oldest := next(iter(self._finished.items())))[1] <= now - MEMORY:
            del self._finished[oldest[0]]

    # Waiting: in line, or for a time to come.

    def _join(self, task: Held) -> None:
        """Put a task into its place in line."""
        task.ready, task.leased, task.alarm = True, False, None
        heappush(self._line[task.message.queue, task.message.lane], (task.place, task.message.id))

    def _delay(self, task: Held, due: float, now: float) -> None:
        """Let a task join the line's end when it is due."""
        task.ready = task.leased = False
        if due > now:
            self._set_alarm(task, due)
        else:
            task.place = next(self._numbers)
            self._join(task)

    def _set_alarm(self, task: Held, time: float) -> None:
        task.alarm = time
        heappush(self._alarms, (time, next(self._numbers), task.message.id))

    def _wake(self, now: float) -> float | None:
        """Let everything happen whose time has come. Seconds until more will, or None."""
        while self._alarms:
            time, _, task_id = self._alarms[0]
            task = self._held.get(task_id)
            stale = task is None or task.alarm != time
            if time > now and not stale:
                return time - now
            heappop(self._alarms)
            if task is not None and not stale:
                task.place = task.place if task.leased else next(self._numbers)
                self._join(task)
        return None

    # Out: leased, each time under a fence of its own.

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        """Lease what is next in line, one queue after the other."""
        now = self._clock.time()
        wake_in = self._wake(now)
        deliveries = [
            self._deliver(task, now, lease)
            for lane, slots in room.items()
            for task in islice(self._next(queues, lane), slots)
        ]
        return Claim(deliveries, wake_in)

    def _next(self, queues: Sequence[str], lane: str) -> Iterator[Held]:
        turns = deque(queues)
        turns.rotate(-self._turn)
        while turns:
            task = self._pop(self._line[turns[0], lane])
            if task is None:
                turns.popleft()
            else:
                self._turn += 1
                turns.rotate(-1)
                yield task

    def _pop(self, line: list[tuple[int, str]]) -> Held | None:
        """The first in line that has not left it in another way."""
        while line:
            place, task_id = heappop(line)
            task = self._held.get(task_id)
            if task is not None and task.ready and task.place == place:
                return task
        return None

    def _deliver(self, task: Held, now: float, lease: float) -> Delivery:
        message = task.message
        task.ready, task.leased = False, True
        task.fence += 1
        task.deliveries += 1
        self._set_alarm(task, now + lease)
        expires_at = None if message.expires is None else task.submitted_at + message.expires
        receipt = Receipt(message.id, message.queue, task.fence)
        return Delivery(message, receipt, task.deliveries, task.submitted_at, now, expires_at, task.state)

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        """Nap: whoever has no way to be told looks again soon."""
        await sleep(self._clock, min(timeout, NAP))

    # Back: a receipt counts until the task is handed out again or settled.

    def _current(self, receipt: Receipt) -> Held | None:
        task = self._held.get(receipt.id)
        return task if task is not None and task.fence == receipt.fence else None

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        """Lease for longer, even a lease that has ended, unless somebody else has the task now."""
        until = self._clock.time() + lease
        return [self._renew(renewal.receipt, until) for renewal in renewals]

    def _renew(self, receipt: Receipt, until: float) -> Holding:
        task = self._current(receipt)
        if task is None:
            return Holding.LOST
        task.ready, task.leased = False, True
        self._set_alarm(task, until)
        return Holding.HELD

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries, unless somebody else has the task now."""
        now = self._clock.time()
        return [self._settle(settlement, now) for settlement in settlements]

    def _settle(self, settlement: Settlement, now: float) -> bool:
        task = self._current(settlement.receipt)
        if task is None:
            return False
        if settlement.verdict in (Verdict.DONE, Verdict.DEAD):
            del self._held[task.message.id]
            self._finished[task.message.id] = now
        else:
            self._put_back(task, settlement, now)
        return True

    def _put_back(self, task: Held, settlement: Settlement, now: float) -> None:
        task.fence += 1  # this receipt is used up
        task.state = settlement.state
        if not settlement.counted:
            task.deliveries -= 1
        if settlement.verdict is Verdict.RELEASE and not settlement.delay:
            self._join(task)
        else:
            self._delay(task, now + settlement.delay, now)


#: Annotated, so that type checkers compare the class with the contract.
broker: BrokerFactory = ToyBroker
