"""Counts of finished runs: per minute one hash, read back as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from flowrra.redis.runs import OUTCOMES, RUNS_KEY, SEPARATOR
from flowrra.reports import BUCKETS, TaskStatistics
from flowrra.status import TaskStatus

#: Minutes for which counts are kept; the script lets them go an hour later.
_KEPT: Final = 24 * 60

_FINAL: Final = (TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED)
_STATUSES: Final = {outcome.letter: outcome.status for outcome in OUTCOMES}


def minutes_kept(since: float, now: float) -> range:
    """The minutes from *since* to *now*, both in epoch seconds, of which there may be counts."""
    last = int(now // 60)
    # Another machine's clock may be a little ahead.
    return range(max(int(since // 60), last - _KEPT), last + 3)


def counts_key(minute: int) -> str:
    """Where the counts of a minute are."""
    return f"{RUNS_KEY}m:{minute}"


def read_rows(minutes: Sequence[int], hashes: Sequence[Sequence[bytes]]) -> list[TaskStatistics]:
    """What was found there, by minute, then task."""
    return [
        tally.row(task, minute * 60)
        for minute, found in zip(minutes, hashes, strict=True)
        for task, tally in sorted(_tallies(found).items())
    ]


class _Tally:
    """The counts of one task in one minute."""

    def __init__(self) -> None:
        self._by_status: dict[TaskStatus, int] = {}
        self._retries = 0
        self._wait = [0] * (len(BUCKETS) + 1)
        self._run = [0] * (len(BUCKETS) + 1)

    def add(self, what: str, count: int) -> None:
        """Take over one field of the hash."""
        outcome, *buckets = what.split(SEPARATOR)
        if not buckets:
            self._retries += count
            return
        status = _STATUSES[outcome]
        self._by_status[status] = self._by_status.get(status, 0) + count
        for histogram, bucket in zip((self._wait, self._run), buckets, strict=True):
            if bucket:
                histogram[int(bucket)] += count

    def row(self, task: str, minute: int) -> TaskStatistics:
        """All of it."""
        counts: dict[str, int] = {status.value: self._by_status.get(status, 0) for status in _FINAL}
        return TaskStatistics(
            task=task, minute=minute, **counts, retries=self._retries,
            wait=tuple(self._wait), run=tuple(self._run),
        )  # fmt: skip


def _tallies(found: Sequence[bytes]) -> dict[str, _Tally]:
    tallies: dict[str, _Tally] = {}
    for name, count in _pairs(found):
        task, _, what = name.partition(SEPARATOR)
        tallies.setdefault(task, _Tally()).add(what, int(count))
    return tallies


def _pairs(found: Sequence[Any]) -> Iterator[tuple[str, bytes]]:
    return ((name.decode(), count) for name, count in zip(found[::2], found[1::2], strict=True))
