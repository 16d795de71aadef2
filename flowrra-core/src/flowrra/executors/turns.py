"""Slots that are handed on in order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from flowrra.exceptions import ExecutorCrashedError


class Turns:
    """A number of slots and a line before them. Used from one loop only."""

    __slots__ = ("_empty", "_waiting", "slots", "taken")

    def __init__(self, slots: int) -> None:
        self.slots: Final = slots
        self.taken: int = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._empty: asyncio.Event | None = None

    @property
    def pending(self) -> int:
        """Those who hold a slot and those who wait for one."""
        return self.taken + len(self._waiting)

    @property
    def room(self) -> int:
        """How many more would get a slot at once."""
        return max(0, self.slots - self.pending)

    async def take(self) -> None:
        """Wait for a slot and hold it until ``leave``."""
        if self.taken < self.slots:
            self.taken += 1
        else:
            await self._wait()

    async def _wait(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(place)
            else:
                self.leave()
            raise

    def leave(self) -> None:
        """Hand the slot to the first in line, or free it."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.taken -= 1
        if self._empty is not None and not self.taken:
            self._empty.set()

    async def drained(self, timeout: float) -> bool:
        """Wait until nobody holds a slot; False if that took longer than *timeout* seconds."""
        if not self.taken:
            return True
        self._empty = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        return not self.taken

    def refuse(self) -> None:
        """Let everybody in line fail: the executor is stopped."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(ExecutorCrashedError("the executor was stopped before the task's turn"))


class Slotted:
    """The part of an executor that counts calls against a number of slots."""

    def __init__(self, slots: int) -> None:
        self._turns: Turns = Turns(slots)

    @property
    def slots(self) -> int:
        """How many calls it runs at once."""
        return self._turns.slots

    def room(self) -> int:
        """How many more calls it can start now."""
        return self._turns.room

    def pending_count(self) -> int:
        """Calls handed over and unfinished, those included that were given up but still occupy their slot."""
        return self._turns.pending
