"""The demonstration's work: every file read, then parsed; some questions that fail at first; one urgent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeVar

from flowrra.cli.demo import tasks
from flowrra.cli.demo.library import Library, Source
from flowrra.result import TaskResult
from flowrra.task import Signature, TaskHandle

T = TypeVar("T")

#: Files that are submitted at once.
BATCH: Final = 100
#: Of how many files one gets a question that fails at first.
EVERY: Final = 50


@dataclass(slots=True)
class Kind:
    """One kind of work and how far it is."""

    name: str
    executor: str
    total: int
    results: list[TaskResult] = field(default_factory=list[TaskResult])
    began: float | None = None  #: monotonic
    ended: float | None = None

    @property
    def done(self) -> int:
        """Runs that have ended."""
        return len(self.results)

    @property
    def retries(self) -> int:
        """Attempts beyond the first."""
        return sum(result.retries for result in self.results)

    @property
    def rate(self) -> float:
        """Runs per second so far."""
        if self.began is None:
            return 0.0
        return self.done / max((self.ended or time.monotonic()) - self.began, 0.001)

    @property
    def left(self) -> float | None:
        """Seconds until it is done, at the present rate."""
        return (self.total - self.done) / self.rate if self.done else None

    def add(self, result: TaskResult) -> None:
        """Count a run that has ended."""
        self.results.append(result)
        if self.done == self.total:
            self.ended = time.monotonic()


class Work:
    """Everything that the demonstration does with one library."""

    def __init__(self, library: Library) -> None:
        self.library: Library = library
        files = len(library.files)
        self.read: Kind = Kind("read", "io", files)
        self.parse: Kind = Kind("parse", "cpu", files)
        self.ask: Kind = Kind("retry", "thread", len(library.files[::EVERY]))
        self.urgent: Kind = Kind("urgent", "cpu", 1)
        self.seconds: float = 0.0
        self._parsed_half = asyncio.Event()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All kinds, in the order in which they are shown."""
        return self.read, self.parse, self.ask, self.urgent

    async def run(self) -> None:
        """Do it all; the application has been started."""
        began = time.monotonic()
        reading: asyncio.Queue[Batch | None] = asyncio.Queue()
        parsing: asyncio.Queue[Batch | None] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed(reading))
            group.create_task(self._parse_what_is_read(reading, parsing))
            group.create_task(self._collect(parsing))
            group.create_task(self._ask())
            group.create_task(self._interrupt())
        self.seconds = time.monotonic() - began

    async def _feed(self, reading: asyncio.Queue[Batch | None]) -> None:
        """Submit the reading of all files, as fast as the queue has room for them."""
        self.read.began = time.monotonic()
        for files in batches(self.library.files):
            handles = await _submit(tasks.read.signature(file.path) for file in files)
            reading.put_nowait(Batch(files, handles))
        reading.put_nowait(None)

    async def _parse_what_is_read(
        self, reading: asyncio.Queue[Batch | None], parsing: asyncio.Queue[Batch | None]
    ) -> None:
        while (batch := await reading.get()) is not None:
            for handle in batch.handles:
                self.read.add(await _result(handle))
            self.parse.began = self.parse.began or time.monotonic()
            handles = await _submit(tasks.parse.signature(file.path) for file in batch.files)
            parsing.put_nowait(Batch(batch.files, handles))
        parsing.put_nowait(None)

    async def _collect(self, parsing: asyncio.Queue[Batch | None]) -> None:
        while (batch := await parsing.get()) is not None:
            for handle in batch.handles:
                self.parse.add(await _result(handle))
                if self.parse.done * 2 >= self.parse.total:
                    self._parsed_half.set()

    async def _ask(self) -> None:
        """Questions of which each fails once or twice before it is answered."""
        self.ask.began = time.monotonic()
        asked = list(enumerate(self.library.files[::EVERY]))
        for some in batches(asked):
            signatures = [
                tasks.ask.signature(self.library.name(file.path), 1 + number % 2) for number, file in some
            ]
            for handle in await _submit(signatures):
                self.ask.add(await _result(handle))

    async def _interrupt(self) -> None:
        """When half is parsed, ask for something urgent."""
        await self._parsed_half.wait()
        self.urgent.began = time.monotonic()
        largest = max(self.library.files, key=lambda file: file.size)
        handle = await tasks.look_up.submit(largest.path)
        self.urgent.add(await _result(handle))

    @property
    def overtaken(self) -> int:
        """Tasks that waited before the urgent one and ran after it."""
        [urgent] = self.urgent.results
        return sum(
            _before(run.submitted_at, urgent.submitted_at) and _before(urgent.started_at, run.started_at)
            for run in self.parse.results
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Files, and what was submitted for each."""

    files: Sequence[Source]
    handles: Sequence[TaskHandle[Any]]


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Lists of up to ``BATCH`` items."""
    left = iter(items)
    while batch := list(islice(left, BATCH)):
        yield batch


async def _submit(signatures: Iterable[Signature[Any]]) -> list[TaskHandle[Any]]:
    return await tasks.app.submit_many(signatures)


async def _result(handle: TaskHandle[Any]) -> TaskResult:
    return await tasks.app.wait_for_result(handle.id)


def _before(first: Any, second: Any) -> bool:
    return first is not None and second is not None and bool(first < second)
