"""Time as a parameter: the real clock, and the contract that a test's clock fulfils too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic as system_monotonic
from time import time as system_time
from typing import Protocol


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Forget the callback. Harmless when it has run."""
        ...


class Clock(Protocol):
    """Where time comes from. All of Flowrra's waiting goes through it, so that tests need not sleep."""

    def time(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards, from an arbitrary start."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call *callback* on the running loop after *delay* seconds."""
        ...


class SystemClock:
    """The machine's clock and the running loop's timers."""

    def __init__(self) -> None:
        #: Seconds since the epoch, UTC.
        self.time: Callable[[], float] = system_time
        #: Seconds that never go backwards.
        self.monotonic: Callable[[], float] = system_monotonic

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call *callback* on the running loop after *delay* seconds."""
        return asyncio.get_running_loop().call_later(delay, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Suspend for *seconds* of *clock*."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    waiter = asyncio.get_running_loop().create_future()
    timer = clock.call_later(seconds, lambda: resolve(waiter))
    try:
        await waiter
    finally:
        timer.cancel()


def resolve(waiter: asyncio.Future[None]) -> bool:
    """Wake whoever awaits *waiter*; whether somebody still did."""
    if waiter.done():
        return False
    waiter.set_result(None)
    return True
