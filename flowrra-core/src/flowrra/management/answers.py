"""What an operator is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from flowrra.reports import TaskStatistics, WorkerBeat
from flowrra.result import TaskResult

#: Seconds back that statistics go, unless said otherwise.
WINDOW: Final = 3600.0


class RunPlace(Enum):
    """Where a run is to be found."""

    RUNNING = "running"
    WAITING = "waiting"
    DELAYED = "delayed"
    FINISHED = "finished"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, and the cursor of the next page, or None at the end. It may be short before the end."""

    runs: list[TaskResult]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How finished runs ended, and how often they were retried."""

    success: int = 0
    failed: int = 0
    cancelled: int = 0
    retries: int = 0

    @classmethod
    def of(cls, rows: Sequence[TaskStatistics]) -> Counted:
        """The sum of *rows*."""
        return cls(
            success=sum(row.success for row in rows),
            failed=sum(row.failed for row in rows),
            cancelled=sum(row.cancelled for row in rows),
            retries=sum(row.retries for row in rows),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Everything at a glance. A part is None where the broker or the backend can't tell."""

    tasks: int  #: registered
    queues: int | None = None
    ready: int | None = None
    delayed: int | None = None
    running: int | None = None
    dead: int | None = None
    workers: int | None = None  #: those that are alive
    lost_workers: int | None = None
    finished: Counted | None = None  #: within ``window``
    window: float = WINDOW  #: seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInfo:
    """A registered task, and how its runs of the last ``WINDOW`` seconds ended, if the backend can tell."""

    name: str
    kind: str
    queue: str
    priority: int
    timeout: float | None
    max_retries: int
    retry_delay: float
    path: str  #: ``module:function``
    description: str  #: the first line of the function's docstring
    finished: Counted | None = None


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's last sign of life, and whether that is too long ago."""

    beat: WorkerBeat
    lost: bool
