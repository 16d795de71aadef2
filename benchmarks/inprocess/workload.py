"""What every peer is given to do: the same function, the same arguments, the same way to see the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Protocol

CONCURRENCY = 100
WARM_UP = 1_000

Job = tuple[int, str, dict[str, int]]


class Peer(Protocol):
    """A library under measurement. A handle is whatever it gives out to ask for a result later."""

    async def start(self) -> None:
        """Get ready to run tasks."""

    async def submit(self, jobs: Sequence[Job]) -> list[Any]:
        """Submit a task per job and return their handles in the same order."""
        ...

    async def wait(self, handle: Any) -> None:
        """Suspend until the result is stored."""

    async def read(self, handle: Any) -> object:
        """The stored result, without waiting for it; None or an error where there is none."""

    async def stop(self) -> None:
        """Let go of everything."""


def make_jobs(count: int, seed: int = 2) -> list[Job]:
    """Arguments that JSON can carry; the same for every peer and round."""
    dice = random.Random(seed)
    return [(i, f"user-{dice.randrange(1_000_000)}", {"n": i}) for i in range(count)]


class Progress:
    """Notes which jobs ran, in order, and wakes who waits for the last."""

    def __init__(self, total: int) -> None:
        self.ran: list[int] = []
        self._total = total
        self._complete = asyncio.Event()

    def note(self, number: int) -> None:
        """The job ran."""
        self.ran.append(number)
        if len(self.ran) == self._total:
            self._complete.set()

    async def complete(self) -> None:
        """Suspend until every job ran."""
        await self._complete.wait()


_note = Progress(0).note


def begin(total: int) -> Progress:
    """Have the tasks from now on noted in a new progress."""
    global _note
    progress = Progress(total)
    _note = progress.note
    return progress


async def noop(number: int, name: str, data: dict[str, int]) -> int:
    """The task: does nothing but say that it ran, and returns its number."""
    _note(number)
    return number
