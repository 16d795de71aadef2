"""The one worker loop: claim what there is room for, run it, settle how it ended."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextvars import Context
from functools import partial

from flowrra.call import Call, EncodedValue
from flowrra.exceptions import ExecutorCrashedError
from flowrra.message import Delivery, Holding, Receipt, Renewal, Settlement, new_id
from flowrra.protocols import Broker
from flowrra.serialization import encode_value
from flowrra.worker.backoff import Backoff
from flowrra.worker.deadlines import Deadlines
from flowrra.worker.intake import Intake
from flowrra.worker.limits import (
    BACKLOG,
    CLAIM_WITHIN,
    HAND_BACK_AFTER,
    LOOK_AGAIN,
    SETTLE_WITHIN,
)
from flowrra.worker.listening import Listening
from flowrra.worker.observer import Ended
from flowrra.worker.parts import WorkerParts
from flowrra.worker.running import Running, Stop, bury
from flowrra.worker.settling import Settling
from flowrra.worker.starting import Starting

logger: logging.Logger = logging.getLogger("flowrra.worker")


class Worker:
    """Runs an application's tasks on the current loop, from ``start`` to ``stop``."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._clock = parts.clock
        self._held: dict[Receipt, Running] = {}
        self._calls = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._backoff = Backoff(parts.clock)
        self._settling = Settling(parts.settler, parts.clock, self._settled)
        self._deadlines: Deadlines[Running] = Deadlines(parts.clock, partial(_interrupt, why=Stop.TIMEOUT))
        self._loops: list[asyncio.Task[None]] = []
        self._starting = Starting(self._start)
        self._listening = Listening(
            parts.broker, parts.broker_config.lease, lambda: self.queues, parts.clock, self._wake.set
        )
        #: Unique in the world, and says where it runs.
        self.name: str = f"{socket.gethostname()}:{os.getpid()}:{new_id()[-6:]}"
        self.started_at: float = parts.clock.time()
        #: Monotonic time of the last answer of the broker.
        self.last_claim: float = parts.clock.monotonic()
        #: Attempts that ended here.
        self.executed: int = 0
        self._intake = Intake(
            parts.registry,
            parts.executors,
            parts.executor_config,
            parts.broker_config.max_deliveries,
            self.name,
            parts.renewing.progressed,
        )

    @property
    def running(self) -> list[str]:
        """Ids of the tasks that are held here."""
        return [receipt.id for receipt in self._held]

    @property
    def queues(self) -> Sequence[str]:
        """The queues that it serves."""
        return self._parts.queues or self._parts.registry.queues()

    def start(self) -> None:
        """Begin to claim."""
        self._parts.renewing.start(self._pairs, self._answered)
        self._loops = [asyncio.create_task(each) for each in (self._settling.run(), self._claim())]

    async def stop(self, wait: bool, timeout: float) -> None:
        """Claim no more; await what runs for *timeout* seconds if *wait*; hand the rest back."""
        self._stopping = True
        if not self._loops:
            return
        self._wake.set()
        claiming = self._loops[-1]
        await asyncio.wait([claiming], timeout=CLAIM_WITHIN)
        await self._starting.finish()
        if wait and self._calls:
            await asyncio.wait(self._futures(), timeout=timeout)
        for running in list(self._held.values()):
            running.interrupt(Stop.SHUTDOWN)
        await self._hand_back()
        await self._listening.stop()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._deadlines.stop()
        await self._parts.renewing.stop()

    def _futures(self) -> list[asyncio.Task[None]]:
        return [running.future for running in self._held.values() if running.future is not None]

    async def _hand_back(self) -> None:
        """Release what doesn't end although it was interrupted, and settle everything."""
        if self._calls:
            await asyncio.wait(self._futures(), timeout=HAND_BACK_AFTER)
        for running in list(self._held.values()):
            if running.future is not None and not running.future.done():
                _warn(running.call.id, f"({running.call.name}) doesn't end; it is handed back")
                self._settling.add(running.release())
                running.stop = Stop.LOST
        try:
            async with asyncio.timeout(SETTLE_WITHIN):
                await self._settling.drain()
        except TimeoutError:
            logger.warning(
                "%d outcomes could not be stored; the tasks will run again", self._settling.backlog
            )

    def unfinished(self) -> list[Settlement]:
        """What hands back everything that is held."""
        return [running.release() for running in self._held.values()]

    async def abandon(self, broker: Broker) -> None:
        """Hand everything back through *broker*, on another loop, after this worker's loop was closed
        without ``stop``."""
        await self._parts.renewing.abandon()
        await broker.settle(self.unfinished())

    def interrupt(self, task_id: str) -> bool:
        """Stop a task that runs here because it was cancelled; whether it does run here."""
        found = [running for receipt, running in self._held.items() if receipt.id == task_id]
        for running in found:
            running.interrupt(Stop.CANCEL)
        return bool(found)

    async def _claim(self) -> None:
        """Claim and start, until told to stop; no error of the broker ends it."""
        await asyncio.sleep(0)
        while not self._stopping:
            self._wake.clear()
            room = self._room()
            wake_in: float | None = None
            if room:
                try:
                    wake_in = await self._claim_once(room)
                except Exception as error:
                    await self._backoff.after(error, "can't claim tasks")
                    continue
            if wake_in != 0.0:
                await self._sleep(room, LOOK_AGAIN if self._given_up() else wake_in)

    async def _claim_once(self, room: Mapping[str, int]) -> float | None:
        """Claim and start once; seconds until it makes sense to try again, at least, or None."""
        lease = self._parts.broker_config.lease
        await self._parts.renewing.before_claim()
        claim = await self._parts.broker.claim(self.queues, room, lease, self.name)
        self._backoff.reset()
        self.last_claim = self._clock.monotonic()
        if not claim.deliveries:
            return claim.wake_in
        await self._starting.begin(claim.deliveries)
        return 0.0

    def _given_up(self) -> bool:
        """Whether a slot is taken by a call that is settled already: a thread that can't be stopped."""
        return sum(executor.pending_count() for executor in self._parts.executors.values()) > self._calls

    async def _sleep(self, room: Mapping[str, int], wake_in: float | None) -> None:
        self._listening.listen(tuple(room))
        timer = None
        if wake_in is not None:
            timer = self._clock.call_later(max(wake_in, 0.001), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _room(self) -> dict[str, int]:
        if self._settling.backlog >= BACKLOG:
            return {}
        waiting = self._starting.waiting
        executors = self._parts.executors.items()
        return {kind: room for kind, executor in executors if (room := executor.room() - waiting[kind]) > 0}

    async def _start(self, deliveries: Sequence[Delivery]) -> None:
        started = self._clock.monotonic()
        runs: list[Running] = []
        for delivery in deliveries:
            if delivery.receipt in self._held:
                continue  # a server that lost its newest data hands out again what runs here
            taken = self._intake.take(delivery, started)
            if isinstance(taken, Running):
                self._held[delivery.receipt] = taken
                runs.append(taken)
            else:
                self._settling.add(taken)
        if self._parts.observer.wants_started:
            await self._parts.observer.started([running.call for running in runs])
        self._calls += len(runs)
        create_task = asyncio.get_running_loop().create_task
        for running in runs:
            running.future = create_task(self._run(running), context=Context())
            if running.call.timeout is not None:
                running.deadline = self._deadlines.add(running, started + running.call.timeout)

    async def _run(self, running: Running) -> None:
        """Run one call to its settlement; nothing that a task raises leaves this coroutine."""
        try:
            value = await self._parts.run(running.call)
            data = value.data if type(value) is EncodedValue else encode_value(value, what="the result")
        except BaseException as error:
            settlement = self._failed(running, error)
        else:
            settlement = running.succeeded(data, self._clock.monotonic())
        self._ended(running, settlement)

    def _failed(self, running: Running, error: BaseException) -> Settlement | None:
        if isinstance(error, ExecutorCrashedError) and running.stop is None:
            return running.crashed(error, self._parts.broker_config.max_deliveries)
        try:
            return running.failed(error, self._clock.monotonic())
        except Exception as broken:
            _warn(running.call.id, "failed in a way that can't be recorded", broken)
            return bury(
                running.delivery, f"its failure can't be recorded: {type(broken).__name__}", self.name
            )

    def _ended(self, running: Running, settlement: Settlement | None) -> None:
        self._calls -= 1
        self.executed += 1
        if running.deadline is not None:
            self._deadlines.discard(running.deadline)
        if settlement is not None:
            self._settling.add(settlement)
        else:
            self._held.pop(running.delivery.receipt, None)
        if not self._wake.is_set():
            self._wake.set()

    async def _settled(self, settlements: Sequence[Settlement], answers: Sequence[bool]) -> None:
        """Let go of what is settled, and tell who wants to know."""
        observed = self._parts.observer.wants_ended
        ended: list[Ended] = []
        for settlement, accepted in zip(settlements, answers, strict=True):
            running = self._held.pop(settlement.receipt, None)
            if not accepted:
                _warn(settlement.receipt.id, "ended here, but another worker has it: the outcome is refused")
            elif observed:
                ended.append(Ended(settlement, running.delivery if running else None))
        self._wake.set()
        if ended:
            await self._parts.observer.ended(ended)

    def _pairs(self) -> list[tuple[Receipt, Call]]:
        # A copy in one step: the renewal thread asks too, and a dictionary that grows can't be gone through.
        return [(receipt, running.call) for receipt, running in self._held.copy().items()]

    def _answered(self, renewals: Sequence[Renewal], answers: Sequence[Holding]) -> None:
        for renewal, holding in zip(renewals, answers, strict=True):
            running = self._held.get(renewal.receipt)
            if running is None or running.has_ended or holding is Holding.HELD:
                continue  # what has ended is judged by its settlement, which may be what ended the lease
            if holding is Holding.LOST:
                _warn(renewal.receipt.id, "was lost to another worker; it is stopped here")
            running.interrupt(Stop.LOST if holding is Holding.LOST else Stop.CANCEL)


def _warn(task_id: str, what: str, error: Exception | None = None) -> None:
    logger.warning("task %s %s", task_id, what, exc_info=error, extra={"task_id": task_id})


def _interrupt(running: Running, why: Stop) -> None:
    running.interrupt(why)
