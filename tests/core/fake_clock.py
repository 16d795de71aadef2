"""The clock for tests, and two more ways to let time pass."""

from __future__ import annotations

from flowrra import testing
from flowrra.testing.clock import settled


class FakeClock(testing.FakeClock):
    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        await settled()

    async def jump(self, seconds: float) -> None:
        """Let much time pass at once: what should have rung in between rings now, once."""
        await self.settle()
        self._now += seconds
        overdue = [timer for when, _, timer in self._timers if when <= self._now]
        self._timers = sorted(entry for entry in self._timers if entry[0] > self._now)
        for timer in overdue:
            timer.run()
        await self.settle()
