"""What every peer is given to do, in its own environment: the same two tasks, and the same questions."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.redis.effects import Effects

URL = os.environ["BENCHMARK_REDIS"]
CONCURRENCY = int(os.environ["BENCHMARK_CONCURRENCY"])
#: Seconds that the second task sleeps.
PAUSE = 0.01
#: How many submissions are under way at once where a library has no batches.
GATHERED = 100
#: How often to ask for a result where a library only asks, in seconds.
POLL = 0.001

_effects = Effects(Path(os.environ["BENCHMARK_EFFECTS"]))


async def noop(number: int) -> int:
    """The first task: does nothing but say that it ran, and returns its number."""
    _effects.begin(number)
    _effects.end(number)
    return number


async def pause(number: int) -> int:
    """The second task: sleeps a hundredth of a second."""
    _effects.begin(number)
    await asyncio.sleep(PAUSE)
    _effects.end(number)
    return number


def noop_in_thread(number: int) -> int:
    """The first task, for libraries that run plain functions."""
    _effects.begin(number)
    _effects.end(number)
    return number


def pause_in_thread(number: int) -> int:
    """The second task, for libraries that run plain functions."""
    _effects.begin(number)
    time.sleep(PAUSE)
    _effects.end(number)
    return number


class Producer(Protocol):
    """A library's side that submits. A handle is whatever it gives out to ask for a result later."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Let go of everything."""

    async def submit(self, task: str, argument: Any) -> Any:
        """Submit one call of ``noop`` or ``pause`` and return its handle."""
        ...

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """Submit many calls in the quickest way that the library has, and return their handles."""
        ...

    async def read(self, handle: Any) -> object:
        """The stored result, without waiting for it; None where there is none."""
        ...

    async def result(self, handle: Any, timeout: float) -> object:
        """Wait for the result in the library's own way; a TimeoutError after *timeout* seconds."""
        ...


async def gather(producer: Producer, task: str, arguments: Sequence[Any]) -> list[Any]:
    """``submit_batch`` for asynchronous libraries without batches."""
    handles: list[Any] = []
    for start in range(0, len(arguments), GATHERED):
        few = arguments[start : start + GATHERED]
        handles += await asyncio.gather(*(producer.submit(task, argument) for argument in few))
    return handles


async def one_by_one(producer: Producer, task: str, arguments: Sequence[Any]) -> list[Any]:
    """``submit_batch`` for synchronous libraries without batches."""
    return [await producer.submit(task, argument) for argument in arguments]
