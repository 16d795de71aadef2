"""Finished runs in memory: by filter and page, and counted by task and minute."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from flowrra.message import Record
from flowrra.reports import BUCKETS, RecordPage, RunFilter, TaskStatistics
from flowrra.status import TaskStatus


class MemoryHistory:
    """Answers from the records that the backend keeps."""

    def __init__(self, records: dict[str, Record], prune: Callable[[], None]) -> None:
        self._records = records
        self._prune = prune

    async def query(self, where: RunFilter, limit: int, cursor: str | None = None) -> RecordPage:
        """Matching records, newest first. The cursor is time and id of the last record before the page."""
        found = self._matching(where)
        if cursor is not None:
            time, _, last = cursor.partition(":")
            before = (float(time), last)
            found = (record for record in found if _key(record) < before)
        page = list(islice(found, limit + 1))
        if len(page) <= limit:
            return RecordPage(page)
        time_id = _key(page[limit - 1])
        return RecordPage(page[:limit], f"{time_id[0]!r}:{time_id[1]}")

    async def count(self, where: RunFilter, limit: int) -> int:
        """How many match, up to *limit*."""
        return sum(1 for _ in islice(self._matching(where), limit))

    async def statistics(self, since: float) -> list[TaskStatistics]:
        """Rows by minute, then task."""
        tallies: dict[tuple[int, str], _Tally] = {}
        for record in self._matching(RunFilter(since=since)):
            key = int(record.finished_at // 60) * 60, record.message.task
            tallies.setdefault(key, _Tally()).add(record)
        return [tally.row(minute, task) for (minute, task), tally in sorted(tallies.items())]

    async def delete(self, ids: Sequence[str]) -> int:
        """Forget records."""
        return sum(self._records.pop(task_id, None) is not None for task_id in ids)

    def _matching(self, where: RunFilter) -> Iterator[Record]:
        self._prune()
        newest_first = sorted(self._records.values(), key=_key, reverse=True)
        return (record for record in newest_first if _matches(record, where))


def _key(record: Record) -> tuple[float, str]:
    return record.finished_at, record.message.id


def _matches(record: Record, where: RunFilter) -> bool:
    message = record.message
    return (
        (where.statuses is None or record.status in where.statuses)
        and (where.task is None or message.task == where.task)
        and (where.queue is None or message.queue == where.queue)
        and (where.worker is None or record.worker == where.worker)
        and (where.id_prefix is None or message.id.startswith(where.id_prefix))
        and (where.since is None or record.finished_at >= where.since)
        and (where.until is None or record.finished_at < where.until)
        and (where.dead is None or (record.dead_reason is not None) is where.dead)
    )


def _buckets() -> list[int]:
    return [0] * (len(BUCKETS) + 1)


@dataclass(slots=True)
class _Tally:
    statuses: dict[TaskStatus, int] = field(default_factory=dict[TaskStatus, int])
    retries: int = 0
    wait: list[int] = field(default_factory=_buckets)
    run: list[int] = field(default_factory=_buckets)

    def add(self, record: Record) -> None:
        self.statuses[record.status] = self.statuses.get(record.status, 0) + 1
        self.retries += record.retries
        if record.started_at is not None:
            self.wait[bisect_left(BUCKETS, record.started_at - record.submitted_at)] += 1
            self.run[bisect_left(BUCKETS, record.finished_at - record.started_at)] += 1

    def row(self, minute: int, task: str) -> TaskStatistics:
        return TaskStatistics(
            task=task,
            minute=minute,
            success=self.statuses.get(TaskStatus.SUCCESS, 0),
            failed=self.statuses.get(TaskStatus.FAILED, 0),
            cancelled=self.statuses.get(TaskStatus.CANCELLED, 0),
            retries=self.retries,
            wait=tuple(self.wait),
            run=tuple(self.run),
        )
