"""Backends: the optional part that lists and counts finished runs."""

from __future__ import annotations

from typing import Final

from flowrra.message import Record
from flowrra.protocols import Backend, RunHistory
from flowrra.reports import BUCKETS, RunFilter
from flowrra.status import TaskStatus
from flowrra.testing.factories import make_message, make_record

ALL: Final = RunFilter()


class HistoryPromises:
    """Every promise of :class:`~flowrra.protocols.RunHistory`; nothing is asked of a backend without it."""

    async def _pages(self, history: RunHistory, where: RunFilter, limit: int) -> list[Record]:
        records: list[Record] = []
        cursor: str | None = None
        while True:
            page = await history.query(where, limit, cursor)
            assert len(page.records) <= limit
            records += page.records
            cursor = page.next
            if cursor is None:
                return records
            assert len(page.records) == limit

    async def test_records_are_listed_newest_first(self, backend: Backend, now: float) -> None:
        if backend.history is None:
            return
        assert (await backend.history.query(ALL, 10)).records == []
        records = [make_record(now - age) for age in (3, 1, 2, 0)]
        await backend.store(records)
        newest_first = [records[3], records[1], records[2], records[0]]
        assert (await backend.history.query(ALL, 10)).records == newest_first
        assert await self._pages(backend.history, ALL, 3) == newest_first
        assert await self._pages(backend.history, ALL, 2) == newest_first

    async def test_pages_of_equal_times_neither_repeat_nor_leave_out(
        self, backend: Backend, now: float
    ) -> None:
        if backend.history is None:
            return
        records = [make_record(now) for _ in range(11)]
        await backend.store(records)
        listed = await self._pages(backend.history, ALL, 3)
        assert sorted(record.message.id for record in listed) == sorted(each.message.id for each in records)

    async def test_a_page_stays_where_it_was_while_newer_records_come(
        self, backend: Backend, now: float
    ) -> None:
        """Also when the last record of the page before is gone."""
        if backend.history is None:
            return
        records = [make_record(now - age) for age in range(10, 16)]
        await backend.store(records)
        page = await backend.history.query(ALL, 3)
        await backend.store([make_record(now - 1), make_record(now)])
        await backend.history.delete([records[2].message.id])
        following = await backend.history.query(ALL, 3, page.next)
        assert following.records == records[3:]
        assert following.next is None

    async def test_every_filter_restricts(self, backend: Backend, now: float) -> None:
        """And all that are given together."""
        if backend.history is None:
            return
        failed = make_record(now - 4, status=TaskStatus.FAILED, dead_reason="broken", worker="worker-2")
        cancelled = make_record(now - 3, make_message(queue="mail"), status=TaskStatus.CANCELLED, worker=None)
        other = make_record(now - 2, make_message(task="other"))
        prefixed = make_record(now - 1, make_message("abc-%_*-1"))
        await backend.store([failed, cancelled, other, prefixed])
        both = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})
        for where, expected in [
            (ALL, [prefixed, other, cancelled, failed]),
            (RunFilter(statuses=both), [cancelled, failed]),
            (RunFilter(statuses=frozenset()), []),
            (RunFilter(task="other"), [other]),
            (RunFilter(queue="mail"), [cancelled]),
            (RunFilter(worker="worker-2"), [failed]),
            (RunFilter(id_prefix="abc-%_*"), [prefixed]),
            (RunFilter(id_prefix="abc-*"), []),
            (RunFilter(since=now - 3), [prefixed, other, cancelled]),
            (RunFilter(until=now - 3), [failed]),
            (RunFilter(dead=True), [failed]),
            (RunFilter(dead=False), [prefixed, other, cancelled]),
            (RunFilter(statuses=both, queue="default", dead=True), [failed]),
            (RunFilter(task="other", queue="mail"), []),
        ]:
            assert (await backend.history.query(where, 10)).records == expected, where
            assert await self._pages(backend.history, where, 1) == expected, where
            assert await backend.history.count(where, 10) == len(expected), where

    async def test_counting_stops_at_its_limit(self, backend: Backend, now: float) -> None:
        if backend.history is None:
            return
        await backend.store([make_record(now) for _ in range(5)])
        assert await backend.history.count(ALL, 3) == 3
        assert await backend.history.count(ALL, 5) == 5
        assert await backend.history.count(ALL, 6) == 5

    async def test_a_replaced_record_is_listed_once(self, backend: Backend, now: float) -> None:
        if backend.history is None:
            return
        old = make_record(now - 100)
        new = old._replace(fence=2, finished_at=now, status=TaskStatus.FAILED, worker="worker-2")
        await backend.store([old])
        await backend.store([new])
        assert (await backend.history.query(ALL, 10)).records == [new]
        assert await backend.history.count(RunFilter(worker="worker-1"), 10) == 0

    async def test_deleted_records_are_gone(self, backend: Backend, now: float) -> None:
        if backend.history is None:
            return
        gone, stays = make_record(now), make_record(now)
        await backend.store([gone, stays])
        assert await backend.history.delete([gone.message.id, "unknown"]) == 1
        assert await backend.get([gone.message.id]) == [None]
        assert (await backend.history.query(ALL, 10)).records == [stays]
        assert await backend.history.delete([gone.message.id]) == 0
        assert await backend.store([gone]) == [True]

    async def test_statistics_count_by_task_and_minute(self, backend: Backend, now: float) -> None:
        if backend.history is None:
            return
        minute = now // 60 * 60 - 60
        other = make_message(task="other")
        await backend.store([
            make_record(minute - 60.0),
            make_record(minute - 0.5, status=TaskStatus.FAILED),
            make_record(minute, retries=2),
            make_record(minute + 59.5, status=TaskStatus.FAILED, retries=1),
            make_record(minute + 1, status=TaskStatus.CANCELLED, started_at=None),
            make_record(minute + 2, other, submitted_at=minute - 20, started_at=minute - 20 + 0.25),
        ])  # fmt: skip
        earlier, work, others = await backend.history.statistics(minute - 60)
        assert [row.minute for row in (earlier, work, others)] == [minute - 60, minute, minute]
        assert [row.task for row in (earlier, *sorted((work, others), key=lambda row: row.task))] == [
            "work", "other", "work",
        ]  # fmt: skip
        if work.task == "other":
            work, others = others, work
        assert (earlier.success, earlier.failed, earlier.cancelled, earlier.retries) == (1, 1, 0, 0)
        assert (work.success, work.failed, work.cancelled, work.retries) == (1, 1, 1, 3)
        assert (others.success, others.failed, others.cancelled) == (1, 0, 0)
        assert (sum(work.wait), sum(work.run), sum(others.wait)) == (2, 2, 1)
        assert len(work.wait) == len(work.run) == len(BUCKETS) + 1
        assert (others.wait[BUCKETS.index(0.25)], others.run[BUCKETS.index(30)]) == (1, 1)
        assert await backend.history.statistics(minute + 60) == []
