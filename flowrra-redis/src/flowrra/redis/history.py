"""Finished runs by filter and page."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from flowrra.clock import Clock
from flowrra.exceptions import DecodingError
from flowrra.message import Record
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.records import record_key, unpack_record
from flowrra.redis.runs import OUTCOMES, RUNS_KEY, Runs, index_of, microseconds
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server
from flowrra.redis.statistics import counts_key, minutes_kept, read_rows
from flowrra.reports import RecordPage, RunFilter, TaskStatistics

_COUNT: Final = Script("count runs", "clock", "history", "choose_runs", "count_runs")
_PAGE: Final = Script("list runs", "clock", "history", "order", "choose_runs", "page_runs")
_UNLIST: Final = Script("unlist runs", "clock", "history", "unlist_runs")

#: Records that are fetched at once, at most.
_FETCHED: Final = 200
#: Minutes whose counts are fetched at once.
_MINUTES: Final = 240
#: Entries of the indexes that one call looks at, at most.
_LOOKED_AT: Final = 2_000

_logger: Final = logging.getLogger(__name__)


class _Listed(NamedTuple):
    """A run as the indexes have it: its id, when it finished (microseconds), and where it is listed."""

    id: str
    time: bytes
    name: bytes


class RedisHistory:
    """Answers from sorted sets, one for each queue, task and outcome."""

    def __init__(self, server: Server, runs: Runs, clock: Clock) -> None:
        self._server = server
        self._runs = runs
        self._clock = clock

    async def query(self, where: RunFilter, limit: int, cursor: str | None = None) -> RecordPage:
        """Matching records, newest first. The cursor is time and id of the last record before the page.

        Raises:
            ValueError: *cursor* is none.
        """
        found: list[Record] = []
        async with aclosing(self._listed(where, limit + 1, cursor)) as pages:
            async for listed in pages:
                found += [record for record in await self._fetch(listed) if _is_by(record, where.worker)]
                if len(found) > limit:
                    break
        if len(found) <= limit:
            return RecordPage(found)
        last = found[limit - 1]
        return RecordPage(found[:limit], f"{microseconds(last.finished_at)}:{last.message.id}")

    async def count(self, where: RunFilter, limit: int) -> int:
        """How many match, up to *limit*. Only a filter by worker or id looks at each run."""
        if where.worker is None and where.id_prefix is None:
            counted: int = await self._ask(_COUNT, self._choice(where))
            return min(limit, counted)
        count = 0
        async with aclosing(self._listed(where, _FETCHED, None)) as pages:
            async for listed in pages:
                if where.worker is None:
                    count += len(listed)
                else:
                    count += sum(_is_by(record, where.worker) for record in await self._fetch(listed))
                if count >= limit:
                    break
        return min(limit, count)

    async def statistics(self, since: float) -> list[TaskStatistics]:
        """Rows by minute, then task; of the last day."""
        rows: list[TaskStatistics] = []
        minutes = minutes_kept(since, self._clock.time())
        for start in range(0, len(minutes), _MINUTES):
            part = minutes[start : start + _MINUTES]
            calls = [Plain(("HGETALL", counts_key(minute)), RUNS_KEY) for minute in part]
            rows += read_rows(part, await self._server.run(Role.COMMAND, calls))
        return rows

    async def delete(self, ids: Sequence[str]) -> int:
        """Forget records; one that is stored at the same time may stay."""
        stored = await self._stored(ids)
        calls = [Plain(("UNLINK", key), key) for key in map(record_key, ids)]
        counts: list[int] = await self._server.run(Role.COMMAND, calls)
        found = _readable(zip(ids, stored, strict=True))
        await self._unlist([
            _Listed(record.message.id, b"%d" % microseconds(record.finished_at), index_of(record).encode())
            for record in found
        ])  # fmt: skip
        return sum(counts)

    async def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The record of each id, or None."""
        stored = await self._stored(ids)
        return [
            None if data is None else unpack_record(task_id, data)
            for task_id, data in zip(ids, stored, strict=True)
        ]

    async def _stored(self, ids: Sequence[str]) -> list[Any]:
        """What is kept under each id, as bytes, or None."""
        calls = [Plain(("GET", key), key) for key in map(record_key, ids)]
        return await self._server.run(Role.COMMAND, calls)

    async def _listed(
        self, where: RunFilter, first: int, cursor: str | None
    ) -> AsyncGenerator[list[_Listed], None]:
        """What the indexes have, newest first, page by page; the first page holds *first* at most."""
        choice = self._choice(where)
        time, task_id = _read_cursor(cursor)
        wanted = min(first, _FETCHED)
        while True:
            asked = (*choice, time, task_id, wanted, _LOOKED_AT, where.id_prefix or "")
            time, task_id, *values = await self._ask(_PAGE, asked)
            if values:
                yield [
                    _Listed(id.decode(), time, name)
                    for id, time, name in zip(values[::3], values[1::3], values[2::3], strict=True)
                ]
            if not time:
                return
            wanted = _FETCHED

    def _choice(self, where: RunFilter) -> tuple[Any, ...]:
        """What the scripts take to choose indexes."""
        outcomes = "".join(
            outcome.letter
            for outcome in OUTCOMES
            if (where.statuses is None or outcome.status in where.statuses)
            and (where.dead is None or outcome.dead is where.dead)
        )
        since = "" if where.since is None else microseconds(where.since)
        until = "" if where.until is None else microseconds(where.until)
        return (*self._runs.bounds, where.queue or "", where.task or "", outcomes, since, until)

    async def _fetch(self, listed: Sequence[_Listed]) -> list[Record]:
        """The records that are still there and can be read; those that are gone are unlisted."""
        stored = await self._stored([each.id for each in listed])
        await self._unlist([each for each, data in zip(listed, stored, strict=True) if data is None])
        return _readable((each.id, data) for each, data in zip(listed, stored, strict=True))

    async def _unlist(self, listed: Sequence[_Listed]) -> None:
        for start in range(0, len(listed), _FETCHED):
            part = listed[start : start + _FETCHED]
            await self._ask(_UNLIST, [value for id, time, name in part for value in (name, id, time)])

    async def _ask(self, script: Script, arguments: Sequence[Any]) -> Any:
        return (await self._server.run(Role.COMMAND, [Call(script, (RUNS_KEY,), arguments)]))[0]


def _readable(stored: Iterable[tuple[str, bytes | None]]) -> list[Record]:
    """Records by id, without those that are gone or that a newer version wrote."""
    found: list[Record] = []
    for task_id, data in stored:
        try:
            if data is not None:
                found.append(unpack_record(task_id, data))
        except DecodingError as error:
            _logger.warning("%s; it is left out", error)
    return found


def _read_cursor(cursor: str | None) -> tuple[Any, Any]:
    if cursor is None:
        return "", ""
    time, separator, task_id = cursor.partition(":")
    if not separator or not time.isdecimal():
        raise ValueError(f"{cursor!r} is no cursor; pass what RecordPage.next was")
    return time, task_id


def _is_by(record: Record, worker: str | None) -> bool:
    return worker is None or record.worker == worker
