"""The record of one schedule, as a scheduler store keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ScheduleKind(Enum):
    """What decides a schedule's fire times."""

    CRON = "cron"
    INTERVAL = "interval"
    ONCE = "once"


class Misfire(Enum):
    """What to do about ticks that were missed while no scheduler ran."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    CATCH_UP = "catch_up"


class Overlap(Enum):
    """Whether a tick fires while the task of the tick before it is still unfinished."""

    ALLOW = "allow"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When to submit which task. Times are epoch seconds, UTC; ``body`` is encoded arguments."""

    id: str
    task: str
    kind: ScheduleKind
    expression: str
    timezone: str = "UTC"
    body: bytes = b""
    priority: int = 0
    enabled: bool = True
    description: str | None = None
    owner: str | None = None
    max_retries: int | None = None
    retry_delay: float | None = None
    misfire: Misfire = Misfire.RUN_ONCE
    overlap: Overlap = Overlap.ALLOW
    jitter: float = 0.0
    created_at: float = 0.0
    next_run: float | None = None
    last_run: float | None = None
    last_task_id: str | None = None
    misfires: int = 0
    version: int = 0
