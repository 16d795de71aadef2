"""The memory broker: the reference implementation of the broker's contract, with all optional parts."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from flowrra.clock import Clock, SystemClock, resolve
from flowrra.config import BrokerConfig
from flowrra.fork import drop_after_fork
from flowrra.memory.admin import MemoryAdmin
from flowrra.memory.backend import MemoryBackend
from flowrra.memory.stored import StoredTask
from flowrra.memory.table import REMEMBER, TaskTable
from flowrra.message import (
    Acceptance,
    Claim,
    Delivery,
    Enqueued,
    Holding,
    Message,
    Place,
    Renewal,
    Settlement,
    Verdict,
)
from flowrra.protocols import Backend, QueueAdmin, Settler
from flowrra.reports import BrokerCapabilities

_CAPABILITIES: Final = BrokerCapabilities(in_process=True, priority=True, unique_keys=True)


class MemoryBroker:
    """Queues in this process's memory. Lives on one loop, without locks; nothing survives the process.

    ``max_queue_size`` bounds ready and delayed tasks together; retries and releases are exempt.
    A forked child starts with empty queues.
    """

    def __init__(self, config: BrokerConfig | None = None, clock: Clock | None = None) -> None:
        self._limit: int = (config and config.max_queue_size) or sys.maxsize
        self._clock: Clock = clock or SystemClock()
        self.reset()
        drop_after_fork(self)

    def reset(self) -> None:
        """Forget everything; a forked child does so."""
        self._table: TaskTable = TaskTable()
        self._admin: MemoryAdmin = MemoryAdmin(self._table, self._clock, self.wake)
        self._sleepers: set[asyncio.Future[None]] = set()
        #: Whether anything may have become claimable since the last claim.
        self._changed: bool = False
        self._producers: deque[asyncio.Future[None]] = deque()

    @property
    def capabilities(self) -> BrokerCapabilities:
        """Priority and unique keys; this process only."""
        return _CAPABILITIES

    @property
    def admin(self) -> QueueAdmin | None:
        """Everything an operator may ask."""
        return self._admin

    @property
    def diagnostics(self) -> None:
        """There is no server."""

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Wake whoever waits; the queues stay."""
        self.wake()

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        """Accept messages in order; each waits for room, all together at most *wait* seconds."""
        table, limit, now = self._table, self._limit, self._clock.time()
        give_up: float | None = None
        answers: list[Enqueued] = []
        for message in messages:
            earlier = table.duplicate_of(message, now)
            if earlier is None and table.waiting >= limit:
                give_up = self._clock.monotonic() + wait if give_up is None else give_up
                earlier, now = await self._wait_for_room(message, give_up)
            if earlier is not None:
                answers.append(Enqueued(Acceptance.DUPLICATE, earlier))
            elif table.waiting >= limit:
                answers.append(Enqueued(Acceptance.FULL, message.id))
            else:
                table.add(message, now)
                answers.append(Enqueued(Acceptance.ACCEPTED, message.id))
        self._wake_workers()
        return answers

    async def _wait_for_room(self, message: Message, give_up: float) -> tuple[str | None, float]:
        """Wait until there is room, *give_up* has come, or the message has become a duplicate."""
        while self._table.waiting >= self._limit and await self._room(give_up):
            if earlier := self._table.duplicate_of(message, self._clock.time()):
                self._admit(1)
                return earlier, self._clock.time()
        return None, self._clock.time()

    async def _room(self, give_up: float) -> bool:
        """Wait for room until *give_up*, in the order of asking; whether to look again."""
        self._wake_workers()
        left = give_up - self._clock.monotonic()
        if left <= 0:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(left, lambda: resolve(turn))
        self._producers.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._admit(1)
            raise
        finally:
            timer.cancel()
        return True

    def _admit(self, room: int) -> None:
        """Let up to *room* waiting producers look again."""
        while room > 0 and self._producers:
            room -= resolve(self._producers.popleft())

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        """Hand out ready tasks, after promoting what is due and reaping what lost its lease."""
        table = self._table
        self._changed = False
        now, monotonic = self._clock.time(), self._clock.monotonic()
        expiry = table.reap(monotonic)
        due = table.promote(now)
        deliveries: list[Delivery] = []
        for lane, most in room.items():
            deliveries += table.lease(table.take(queues, lane, most), lease, now, monotonic, worker)
        if deliveries and self._producers:
            self._admit(len(deliveries))
        if expiry is None or due is None:
            return Claim(deliveries, due if expiry is None else expiry)
        return Claim(deliveries, min(due, expiry))

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        """Suspend until something was enqueued, put back or resumed since the last claim."""
        if self._changed:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(timeout, lambda: resolve(sleeper))
        self._sleepers.add(sleeper)
        try:
            await sleeper
        finally:
            self._sleepers.discard(sleeper)
            timer.cancel()

    def _wake_workers(self) -> None:
        self._changed = True
        for sleeper in self._sleepers:
            resolve(sleeper)

    def wake(self) -> None:
        """Let workers and waiting producers look again."""
        self._wake_workers()
        self._admit(len(self._producers))

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        """Extend leases whose fence is current."""
        monotonic = self._clock.monotonic()
        return [self._renew(renewal, lease, monotonic) for renewal in renewals]

    def _renew(self, renewal: Renewal, lease: float, monotonic: float) -> Holding:
        task = self._table.current(renewal.receipt)
        if task is None or task.place is not Place.LEASED:
            return Holding.LOST
        self._table.renew(task, lease, monotonic)
        if renewal.progress is not None:
            task.progress = renewal.progress
        return Holding.CANCELLED if task.cancelled else Holding.HELD

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries whose fence is current."""
        return self.settle_now(settlements, None)

    def settle_now(self, settlements: Sequence[Settlement], backend: MemoryBackend | None) -> list[bool]:
        """Settle without suspending; with a backend, each settlement's record is stored in the same step."""
        table, now = self._table, self._clock.time()
        until = now + REMEMBER
        answers: list[bool] = []
        for settlement in settlements:
            task = table.current(settlement.receipt)
            answers.append(task is not None)
            if task is None:
                continue
            if backend is not None and settlement.record is not None:
                backend.keep(settlement.record)
            if settlement.verdict is Verdict.DONE:
                table.finish(table.withdraw(task), until)
            else:
                self._end(task, settlement, now)
        table.forget(now)
        if self._producers:
            self._admit(self._limit - table.waiting)
        return answers

    def _end(self, task: StoredTask, settlement: Settlement, now: float) -> None:
        """Keep a task that is not done."""
        table = self._table
        task = table.withdraw(task)
        task.state = settlement.state
        if settlement.verdict is Verdict.DEAD:
            table.bury(task, settlement.reason, now)
        else:
            table.put_back(task, settlement.counted, now + settlement.delay if settlement.delay > 0 else None)
            self._wake_workers()

    def settler(self, backend: Backend) -> Settler | None:
        """One step, if *backend* is in memory too."""
        return MemorySettler(self, backend) if isinstance(backend, MemoryBackend) else None


class MemorySettler:
    """Stores records and settles deliveries in one step of the loop."""

    def __init__(self, broker: MemoryBroker, backend: MemoryBackend) -> None:
        self._broker = broker
        self._backend = backend

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Store and settle."""
        return self._broker.settle_now(settlements, self._backend)
