"""Finished runs on their way into a script: what the fragments ``records`` and ``history`` take."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from flowrra.message import Record
from flowrra.redis.records import pack_record
from flowrra.reports import BUCKETS
from flowrra.status import TaskStatus

#: The most runs for one call of a script.
MOST: Final = 500

#: Between the parts of a name; names of queues and tasks are printable.
SEPARATOR: Final = "\x1f"

#: What all keys of the lists begin with; a cluster keeps them together.
RUNS_KEY: Final = "flowrra:{runs}:"


class Outcome(NamedTuple):
    """How a run ended, as the lists tell it: one index for each."""

    letter: str
    status: TaskStatus
    dead: bool = False


OUTCOMES: Final = (
    Outcome("s", TaskStatus.SUCCESS),
    Outcome("f", TaskStatus.FAILED),
    Outcome("c", TaskStatus.CANCELLED),
    Outcome("d", TaskStatus.FAILED, dead=True),
)
_DEAD: Final = "d"
_LETTERS: Final = {outcome.status: outcome.letter for outcome in OUTCOMES if not outcome.dead}


def index_of(record: Record) -> str:
    """The name of the index that lists *record*."""
    return _index(*_kind(record)[:3])


def microseconds(time: float) -> int:
    """Epoch seconds as the indexes have them."""
    return round(time * 1_000_000)


class Runs:
    """Makes the arguments of scripts that keep and list runs.

    Args:
        ttl: Seconds that a record is kept, or None.
        limit: How many runs are kept, at most.
    """

    def __init__(self, ttl: int | None, limit: int) -> None:
        #: What every script takes that lists runs or clears the list up: limit, and milliseconds or 0.
        self.bounds: Final = (limit, (ttl or 0) * 1000)

    def arguments(self, records: Sequence[Record], stored: Sequence[Any] | None = None) -> list[Any]:
        """What ``read_runs`` of the fragment ``records`` reads, for up to ``MOST`` records of different ids.

        Args:
            stored: What to send in place of the packed records, one each.
        """
        kinds: dict[tuple[Any, ...], int] = {}
        items: list[Any] = []
        packed = map(pack_record, records) if stored is None else stored
        for record, data in zip(records, packed, strict=True):
            kind = _kind(record)
            number = kinds.setdefault(kind, len(kinds) + 1)
            items += (record.message.id, number, microseconds(record.finished_at), data)
        limit, ttl = self.bounds
        return [ttl, limit, len(kinds), *_described(kinds), len(records), *items]


def _kind(record: Record) -> tuple[Any, ...]:
    """What runs have in common that are listed and counted together."""
    message, status, _, submitted, finished, started = record[:6]
    minute = int(finished // 60)
    waited: int | str = ""
    ran: int | str = ""
    if started is not None:
        waited, ran = bisect_left(BUCKETS, started - submitted), bisect_left(BUCKETS, finished - started)
    outcome = _LETTERS[status] if record.dead_reason is None else _DEAD
    return message.queue, message.task, outcome, minute, waited, ran, record.retries


def _index(queue: str, task: str, outcome: str) -> str:
    return f"{queue}{SEPARATOR}{task}{SEPARATOR}{outcome}"


def _described(kinds: dict[tuple[Any, ...], int]) -> Iterator[Any]:
    """Of each kind: the index's name, the minute, the field of the statistics, and the retries."""
    for queue, task, outcome, minute, waited, ran, retries in kinds:
        yield _index(queue, task, outcome)
        yield minute
        yield f"{task}{SEPARATOR}{outcome}{SEPARATOR}{waited}{SEPARATOR}{ran}"
        yield retries


def chunks(records: Sequence[Record]) -> Iterator[list[int]]:
    """The positions of *records* in groups for one call each: of different ids, and not too many."""
    group: dict[str, int] = {}
    for position, record in enumerate(records):
        if record.message.id in group or len(group) == MOST:
            yield list(group.values())
            group = {}
        group[record.message.id] = position
    if group:
        yield list(group.values())
