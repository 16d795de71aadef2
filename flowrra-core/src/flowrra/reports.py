"""What brokers and backends say of themselves, and what they answer to an operator's questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flowrra.message import Delivery, Entry, Record
from flowrra.status import TaskStatus


class BrokerCapabilities(NamedTuple):
    """What a broker can do beyond the mandatory part. A task that asks for more fails at submit."""

    in_process: bool = False  #: lives in this process's memory: no other process can serve it
    durable: bool = False  #: what it accepted survives its restart
    priority: bool = False
    unique_keys: bool = False


class BackendCapabilities(NamedTuple):
    """What a backend is like."""

    in_process: bool = False  #: lives in this process's memory: no other process can read it
    durable: bool = False  #: what it stored survives its restart


class EntryPage(NamedTuple):
    """Some entries of a queue, and the cursor of the next page, or None at the end."""

    entries: list[Entry]
    next: str | None = None


class Cancellation(NamedTuple):
    """A waiting task comes back as a delivery for the caller to settle; a running one is marked."""

    delivery: Delivery | None = None
    running: bool = False


class RunFilter(NamedTuple):
    """Which records to list; what is None doesn't restrict. Times are epoch seconds of finishing."""

    statuses: frozenset[TaskStatus] | None = None
    task: str | None = None
    queue: str | None = None
    worker: str | None = None
    id_prefix: str | None = None
    since: float | None = None
    until: float | None = None
    dead: bool | None = None


class RecordPage(NamedTuple):
    """Some records, newest first, and the cursor of the next page, or None at the end."""

    records: list[Record]
    next: str | None = None


#: Upper bounds in seconds of the histogram buckets in which durations are counted; the last bucket is open.
BUCKETS: Final[tuple[float, ...]] = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 1800, 3600, 21600,
)  # fmt: skip


class TaskStatistics(NamedTuple):
    """Counts of one task in one minute, and histograms of waiting and running over ``BUCKETS``."""

    task: str
    minute: int  #: epoch seconds of its start
    success: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0
    wait: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    run: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)


class Finding(NamedTuple):
    """What one look at an installation or a server found, and what to do if that is bad."""

    name: str
    ok: bool
    detail: str
    advice: str | None = None


class Event(NamedTuple):
    """Something happened to a task, a queue or a worker. ``at`` is epoch seconds."""

    kind: str
    at: float
    task_id: str | None = None
    task: str | None = None
    queue: str | None = None
    data: Mapping[str, Any] | None = None


class WorkerBeat(NamedTuple):
    """A worker's sign of life."""

    name: str
    host: str
    pid: int
    started_at: float
    beat_at: float
    queues: tuple[str, ...] | None
    slots: Mapping[str, int]  #: lane to number of tasks it can run at once
    running: tuple[str, ...] = ()  #: ids
    executed: int = 0
