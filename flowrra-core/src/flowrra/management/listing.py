"""Runs by filter and page: those that wait or run from the broker, finished ones from the backend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from flowrra.connections import Connections
from flowrra.exceptions import ConfigError, DecodingError, UnsupportedError
from flowrra.management.answers import RunPage, RunPlace
from flowrra.message import Entry, Message, Place, Record
from flowrra.protocols import QueueAdmin, RunHistory
from flowrra.reading import result_of_entry, result_of_record
from flowrra.reports import RunFilter
from flowrra.result import TaskResult
from flowrra.status import TaskStatus

#: Tasks of a queue that one page of runs looks at, at most, for those that match.
SCANNED: Final = 2_000

#: Where a queue keeps the runs of each place.
_PLACES: Final[Mapping[RunPlace, Place]] = {
    RunPlace.RUNNING: Place.LEASED,
    RunPlace.WAITING: Place.READY,
    RunPlace.DELAYED: Place.DELAYED,
    RunPlace.DEAD: Place.DEAD,
}
#: What a look at all runs goes through, in this order. Dead runs have a record and are among the finished.
_ALL: Final = (RunPlace.RUNNING, RunPlace.WAITING, RunPlace.DELAYED, RunPlace.FINISHED)


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page of runs begins: the place's and the queue's number, and the cursor within."""

    step: int = 0
    cursor: str | None = None

    def encode(self) -> str:
        return json.dumps([self.step, self.cursor])

    @classmethod
    def decode(cls, text: str | None) -> _Position:
        if text is None:
            return cls()
        try:
            step, cursor = json.loads(text)
            return cls(int(step), None if cursor is None else str(cursor))
        except (ValueError, TypeError):
            raise ConfigError(f"{text!r} is no cursor; take it from the page before") from None


@dataclass(slots=True)
class _Page:
    """A page of runs while it is filled."""

    limit: int
    where: RunFilter
    runs: list[TaskResult] = field(default_factory=list[TaskResult])
    scanned: int = 0

    @property
    def room(self) -> int:
        return self.limit - len(self.runs)

    @property
    def full(self) -> bool:
        return self.room <= 0 or self.scanned >= SCANNED


class RunListing:
    """Goes through the places of one broker and one backend, which are connected."""

    def __init__(self, connections: Connections) -> None:
        self._broker = connections.broker
        self._backend = connections.backend

    async def page(self, where: RunFilter, place: RunPlace | None, limit: int, cursor: str | None) -> RunPage:
        """Up to *limit* runs that match; see ``FlowrraManager.runs``."""
        start = _Position.decode(cursor)
        steps = await self._steps(where, place)
        page = _Page(max(limit, 1), where)
        for number in range(start.step, len(steps)):
            inner = start.cursor if number == start.step else None
            inner = await self._fill(page, *steps[number], inner)
            if inner is not None:
                return RunPage(page.runs, _Position(number, inner).encode())
            if page.full and number + 1 < len(steps):
                return RunPage(page.runs, _Position(number + 1).encode())
        return RunPage(page.runs)

    async def _steps(self, where: RunFilter, place: RunPlace | None) -> list[tuple[RunPlace, str]]:
        """Place by place and queue by queue, as a page goes through them."""
        places = self._known() if place is None else [place]
        queued = [each for each in places if each is not RunPlace.FINISHED]
        queues: list[str] = []
        if queued:
            counts = await self._admin.counts(None if where.queue is None else [where.queue])
            queues = [each.queue for each in counts]
        finished = [(RunPlace.FINISHED, "")] if RunPlace.FINISHED in places else []
        return [*product(queued, queues), *finished]

    def _known(self) -> list[RunPlace]:
        """The places that can be listed; never none, so that somebody says what is missing."""
        if self._backend.history is None:
            return [place for place in _ALL if place is not RunPlace.FINISHED]
        return [RunPlace.FINISHED] if self._broker.admin is None else list(_ALL)

    async def _fill(self, page: _Page, place: RunPlace, queue: str, cursor: str | None) -> str | None:
        """Add what matches of one step to *page*; the cursor to go on from, None at the step's end."""
        if place is RunPlace.FINISHED:
            found = await self._history.query(page.where, page.room, cursor)
            page.runs.extend(_results_of_records(found.records))
            return found.next
        while True:
            entries = await self._admin.peek(queue, _PLACES[place], page.room, cursor)
            page.scanned += len(entries.entries)
            shown = (_result_of_entry(entry) for entry in entries.entries)
            page.runs.extend(run for run in shown if _matches(run, page.where))
            cursor = entries.next
            if cursor is None or page.full:
                return cursor

    @property
    def _admin(self) -> QueueAdmin:
        if self._broker.admin is None:
            raise UnsupportedError(self._broker, "list tasks")
        return self._broker.admin

    @property
    def _history(self) -> RunHistory:
        if self._backend.history is None:
            raise UnsupportedError(self._backend, "list runs")
        return self._backend.history


def _matches(run: TaskResult, where: RunFilter) -> bool:
    """Whether a run that a broker still has is meant by *where*."""
    return (
        (where.statuses is None or run.status in where.statuses)
        and (where.task is None or run.task_name == where.task)
        and (where.queue is None or run.queue == where.queue)
        and (where.worker is None or run.worker == where.worker)
        and (where.id_prefix is None or run.task_id.startswith(where.id_prefix))
        and where.since is None
        and where.until is None
        and (where.dead is None or (run.dead_reason is not None) is where.dead)
    )


def _result_of_entry(entry: Entry) -> TaskResult:
    try:
        return result_of_entry(entry)
    except DecodingError as error:
        status = TaskStatus.FAILED if entry.place is Place.DEAD else TaskStatus.PENDING
        return _unreadable(entry.message, status, error)


def _results_of_records(records: Sequence[Record]) -> Iterator[TaskResult]:
    for record in records:
        try:
            yield result_of_record(record)
        except DecodingError as error:
            yield _unreadable(record.message, record.status, error)


def _unreadable(message: Message, status: TaskStatus, error: DecodingError) -> TaskResult:
    """What can be said of a run whose bytes are damaged or from a newer version."""
    return TaskResult(
        message.id,
        status,
        error=f"{type(error).__name__}: {error}",
        task_name=message.task,
        priority=message.priority,
        queue=message.queue,
    )
