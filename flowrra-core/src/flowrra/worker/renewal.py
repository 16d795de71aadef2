"""Keeping leases while tasks run, and sending their progress."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeAlias

from flowrra.call import Call
from flowrra.clock import Clock, Timer
from flowrra.exceptions import PermanentError
from flowrra.message import Holding, Receipt, Renewal
from flowrra.protocols import Broker
from flowrra.url import redact

logger: logging.Logger = logging.getLogger("flowrra.worker")

#: Seconds between two reports of progress.
PROGRESS_EVERY: Final = 1.0
#: Seconds that connecting may take, however short the lease.
OPEN_WITHIN: Final = 5.0
#: Seconds for which the worker's loop may be blocked before its leases are given up.
MAX_BLOCK: Final = 300.0

Held: TypeAlias = Callable[[], list[tuple[Receipt, Call]]]
Answered: TypeAlias = Callable[[Sequence[Renewal], Sequence[Holding]], None]
#: Tells listeners of calls that have reported progress; awaited on the worker's loop, raises nothing.
Announce: TypeAlias = Callable[[Sequence[Call]], Coroutine[Any, Any, None]]


class Renewing(Protocol):
    """Renews a worker's leases, every third of a lease."""

    def start(self, held: Held, answered: Answered) -> None:
        """Begin. *held* names what to renew; *answered* is called on the worker's loop."""
        ...

    async def before_claim(self) -> None:
        """Renew now what is overdue, so that the worker doesn't reap its own leases."""
        ...

    def progressed(self, call: Call) -> None:
        """Send the call's progress within a second. Callable from any thread."""
        ...

    async def stop(self) -> None:
        """End."""
        ...

    async def abandon(self) -> None:
        """End, on another loop, after the worker's loop was closed."""
        ...


class _Announcing:
    """Announces progress beside the renewals, which don't wait for it."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, progressed: Sequence[Call]) -> None:
        """Announce, on the running loop."""
        if progressed:
            task = asyncio.create_task(self._announce(progressed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _complain(error: Exception) -> None:
    text = redact(f"{type(error).__name__}: {error}")
    logger.warning("can't renew leases: %s; trying again until it works", text)


def _taken(progressed: set[Call]) -> set[Call]:
    """Empty *progressed*, to which other threads add: what they report from now on is not lost."""
    taken = progressed.copy()
    progressed.difference_update(taken)
    return taken


class LoopRenewing:
    """For a broker that lives in this process, on this loop: nobody can claim while the loop is blocked.
    Also for a broker that was given as an object, of which there can't be a second connection."""

    def __init__(self, broker: Broker, lease: float, clock: Clock, announce: Announce) -> None:
        self._broker = broker
        self._lease = lease
        self._clock = clock
        self._announcing = _Announcing(announce)
        self._progressed: set[Call] = set()
        self._next = 0.0
        self._timer: Timer | None = None
        self._flush: Timer | None = None
        self._flushed = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, held: Held, answered: Answered) -> None:
        """Begin, on the running loop."""
        self._held = held
        self._answered = answered
        self._loop = asyncio.get_running_loop()
        self._arm()

    def _arm(self) -> None:
        self._next = self._clock.monotonic() + self._lease / 3
        self._timer = self._clock.call_later(self._lease / 3, self._ring)

    def _ring(self) -> None:
        self._arm()
        self._spawn(self._held())

    def _spawn(self, pairs: Sequence[tuple[Receipt, Call]]) -> None:
        if pairs:
            task = asyncio.ensure_future(self._renew(pairs))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _renew(self, pairs: Sequence[tuple[Receipt, Call]]) -> None:
        renewals = [Renewal(receipt, call.progress_data) for receipt, call in pairs]
        try:
            answers = await self._broker.renew(renewals, self._lease)
        except Exception as error:
            _complain(error)
        else:
            self._answered(renewals, answers)

    async def before_claim(self) -> None:
        """Renew if the timer is late because the loop was blocked, and await renewals under way."""
        if self._clock.monotonic() > self._next + self._lease / 3 and (pairs := self._held()):
            await self._renew(pairs)
        elif self._tasks:
            await asyncio.wait(self._tasks)

    def progressed(self, call: Call) -> None:
        """Send progress soon."""
        self._progressed.add(call)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arm_flush)

    def _arm_flush(self) -> None:
        if self._flush is None and self._timer is not None:
            delay = max(0.0, self._flushed + PROGRESS_EVERY - self._clock.monotonic())
            self._flush = self._clock.call_later(delay, self._send_progress)

    def _send_progress(self) -> None:
        self._flush = None
        self._flushed = self._clock.monotonic()
        progressed = _taken(self._progressed)
        pairs = [pair for pair in self._held() if pair[1] in progressed]
        self._spawn(pairs)
        self._announcing.tell([call for _, call in pairs])

    async def stop(self) -> None:
        """Cancel the timers."""
        for timer in (self._timer, self._flush):
            if timer is not None:
                timer.cancel()
        self._timer = None
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._announcing.stop()

    async def abandon(self) -> None:
        """Nothing to end: the timers went with the loop."""


class ThreadRenewing:
    """For a broker that others can claim from: a thread with a connection of its own keeps the
    leases, so that a task that blocks the loop is not run twice."""

    def __init__(self, make_broker: Callable[[], Broker], lease: float, announce: Announce) -> None:
        self._make_broker = make_broker
        self._lease = lease
        self._announcing = _Announcing(announce)
        self._progressed: set[Call] = set()
        self._flushed = 0.0
        self._thread: threading.Thread | None = None
        self._is_open = False
        self._failing = False

    def start(self, held: Held, answered: Answered) -> None:
        """Begin, in a new thread."""
        self._held = held
        self._answered = answered
        self._home = asyncio.get_running_loop()
        self._ticked = time.monotonic()
        self._broker = self._make_broker()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="flowrra-renewal", daemon=True)
        self._thread.start()

    async def before_claim(self) -> None:
        """Nothing is ever overdue: the thread doesn't wait for the loop."""

    def progressed(self, call: Call) -> None:
        """Send progress with the next round."""
        self._progressed.add(call)

    async def stop(self) -> None:
        """End the thread."""
        await self.abandon()
        await self._announcing.stop()

    async def abandon(self) -> None:
        """End the thread."""
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself, and its loop with it
                self._loop.call_soon_threadsafe(self._stopped.set)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep())

    async def _keep(self) -> None:
        """Take rounds until told to stop, or until the worker's loop is gone."""
        third = self._lease / 3
        await self._guarded(self._open(), max(third, OPEN_WITHIN))
        due = time.monotonic() + third
        while not await self._pause(min(PROGRESS_EVERY, self._lease / 6)) and not self._home.is_closed():
            if not self._is_open and not await self._guarded(self._open(), max(third, OPEN_WITHIN)):
                continue
            now = time.monotonic()
            full, progressed = now >= due, self._take_progressed(now)
            if (full or progressed) and await self._guarded(self._round(progressed, full), third) and full:
                due = now + third
        await self._guarded(self._broker.close(), third)

    def _take_progressed(self, now: float) -> set[Call]:
        """Calls whose progress is to be sent now."""
        if now < self._flushed + PROGRESS_EVERY:
            return set()
        progressed = _taken(self._progressed)
        if progressed:
            self._flushed = now
        return progressed

    async def _open(self) -> None:
        await self._broker.open()
        self._is_open = True

    async def _pause(self, seconds: float) -> bool:
        """Wait; whether it is time to end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)
        return self._stopped.is_set()

    async def _guarded(self, step: Awaitable[None], within: float) -> bool:
        """Take a step in at most *within* seconds; whether it worked. A failure is said once."""
        limit = asyncio.timeout(within)
        try:
            async with limit:
                await step
        except Exception as error:
            if not self._failing:
                late = TimeoutError(f"no answer within {within:g} s")
                _complain(late if limit.expired() else error)
            self._failing = True
        else:
            self._failing = False
        return not self._failing

    async def _round(self, progressed: Collection[Call], full: bool) -> None:
        blocked = time.monotonic() - self._ticked
        self._home.call_soon_threadsafe(self._tick)
        if blocked > MAX_BLOCK:
            raise PermanentError(f"the worker's loop has been blocked for more than {MAX_BLOCK:g} s")
        pairs = [pair for pair in self._held() if full or pair[1] in progressed]
        renewals = [Renewal(receipt, call.progress_data) for receipt, call in pairs]
        if renewals:
            answers = await self._broker.renew(renewals, self._lease)
            self._home.call_soon_threadsafe(self._answered, renewals, answers)
            told = [call for _, call in pairs if call in progressed]
            self._home.call_soon_threadsafe(self._announcing.tell, told)

    def _tick(self) -> None:
        self._ticked = time.monotonic()
