"""SIGINT and SIGTERM: the first one asks a process to drain, the second one to stop at once."""

from __future__ import annotations

import asyncio
import signal
from typing import Any, Final

_OBEYED: Final = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """What was heard so far."""

    def __init__(self) -> None:
        self.first: asyncio.Event = asyncio.Event()
        self.second: asyncio.Event = asyncio.Event()
        self._heard: list[signal.Signals] = []

    def obey(self) -> None:
        """Listen, on the running loop."""
        loop = asyncio.get_running_loop()
        for each in _OBEYED:
            try:
                loop.add_signal_handler(each, self.hear, each)
            except NotImplementedError:  # Windows
                signal.signal(each, lambda number, _: loop.call_soon_threadsafe(self.hear, number))

    def hear(self, number: int) -> None:
        """Take note of a signal."""
        if self._heard:
            self.second.set()
        self._heard.append(signal.Signals(number))
        self.first.set()

    def drain(self) -> None:
        """Do as after the first signal, which may still come, for the same reason: this isn't counted."""
        self.first.set()

    def stop(self) -> None:
        """Do as after the second signal."""
        self.first.set()
        self.second.set()

    @property
    def newest(self) -> signal.Signals:
        """The last one that came."""
        return self._heard[-1] if self._heard else signal.SIGTERM


async def race(step: asyncio.Future[Any], event: asyncio.Event, timeout: float | None = None) -> None:
    """Wait until *step* is done or *event* is set, at most *timeout* seconds. Cancels nothing."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({step, waiting}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
