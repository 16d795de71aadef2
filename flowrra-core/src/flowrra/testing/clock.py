"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

#: Epoch seconds at which a fake clock starts, and its monotonic start. Between powers of two and a whole
#: number apart, so that a sum or difference of times is rounded alike on both.
START: Final = 1_800_000_000.0
MONOTONIC_START: Final = 1_200_000_000.0

#: Timers that are this close, in seconds, count as due: sums of decimal fractions are never exact.
CLOSE: Final = 1e-6

#: Turns of the loop in which it may settle: on a loop that tells when it is idle, and on others.
_MOST_TURNS: Final = 1_000
_BLIND_TURNS: Final = 50


class FakeTimer:
    """A callback that waits for its time on a fake clock."""

    __slots__ = ("_callback", "_loop", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when: float = when
        self._callback: Callable[[], object] | None = callback
        self._loop = _running_loop()

    @property
    def active(self) -> bool:
        """Whether it neither ran nor was cancelled."""
        return self._callback is not None

    def cancel(self) -> None:
        """Forget the callback. Harmless when it has run."""
        self._callback = None

    def run(self) -> None:
        """Call the callback, on the loop that asked for it."""
        callback, self._callback = self._callback, None
        if callback is None:
            return
        if self._loop is None or self._loop is _running_loop():
            callback()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)


class FakeClock:
    """Time that passes only in ``advance``: a :class:`~flowrra.clock.Clock` for tests.

    Not safe for use from several threads at the same moment.
    """

    def __init__(self, start: float = START) -> None:
        self._epoch_offset = start - MONOTONIC_START
        self._now = MONOTONIC_START
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._numbers = count()

    def time(self) -> float:
        """Seconds since the epoch, as this clock has it."""
        return self._now + self._epoch_offset

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        """Call *callback* once ``advance`` has moved the time on by *delay* seconds, or soon if that is 0."""
        timer = FakeTimer(self._now + max(0.0, delay), callback)
        if delay <= 0 and (loop := _running_loop()) is not None:
            loop.call_soon(timer.run)
        else:
            heappush(self._timers, (timer.when, next(self._numbers), timer))
        return timer

    async def advance(self, seconds: float, settle: Callable[[], Awaitable[Any]] | None = None) -> None:
        """Let *seconds* pass, from timer to timer.

        Each timer that falls due runs at its own time, and the loop settles before the next one, so
        that what a callback starts may set timers of its own and none is jumped over.

        Args:
            seconds: How long; 0 runs what is due now.
            settle: What to await after each timer, instead of :func:`settled`.
        """
        if seconds < 0:
            raise ValueError(f"time can't go backwards: advance({seconds!r})")
        pause = settle or settled
        target = self._now + seconds
        await pause()
        while (timer := self._next(target + CLOSE)) is not None:
            self._now = max(self._now, timer.when)
            timer.run()
            await pause()
        self._now = max(self._now, target)

    def _next(self, horizon: float) -> FakeTimer | None:
        timers = self._timers
        while timers and not timers[0][2].active:
            heappop(timers)
        return heappop(timers)[2] if timers and timers[0][0] <= horizon else None


async def settled() -> None:
    """Let the running loop turn until nothing is ready to run on it (sockets and threads aside)."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    for _ in range(_BLIND_TURNS if ready is None else _MOST_TURNS):
        await asyncio.sleep(0)
        if ready is not None and not ready:
            return


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
