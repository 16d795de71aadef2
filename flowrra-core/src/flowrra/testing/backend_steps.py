"""What the backend suite works with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flowrra.clock import Clock, SystemClock
from flowrra.config import BackendConfig
from flowrra.protocols import Backend
from flowrra.testing.clock import FakeClock

T = TypeVar("T")


@dataclass
class BackendBench:
    """How to make the backend under test, and how its time passes.

    Attributes:
        make: Makes an unopened backend of the given settings (their URL is to be replaced where one is
            needed). All backends of one bench share their records, and nobody else stores any.
        clock: The time that the backend goes by. With a :class:`FakeClock` no test sleeps.
        unit: Seconds of the shortest wait. Choose it longer than any round trip may take.
        advance: How to let time pass, where neither of the two clocks can.
    """

    make: Callable[[BackendConfig], Backend]
    clock: Clock = field(default_factory=SystemClock)
    unit: float = 0.25
    advance: Callable[[float], Awaitable[None]] | None = None

    async def let_pass(self, seconds: float) -> None:
        """Let time pass."""
        if self.advance is not None:
            await self.advance(seconds)
        elif isinstance(self.clock, FakeClock):
            await self.clock.advance(seconds)
        else:
            await asyncio.sleep(seconds)

    async def during(self, waiting: Awaitable[T], seconds: float) -> T:
        """Await something that takes time, while time passes."""
        task = asyncio.ensure_future(waiting)
        await self.let_pass(seconds)
        return await asyncio.wait_for(task, 30)
