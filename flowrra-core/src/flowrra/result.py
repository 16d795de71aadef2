"""What became of a task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from flowrra.status import TaskStatus

FINAL: Final = frozenset({TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED})


class Attempt(NamedTuple):
    """One try at a task that did not bring its final result, and the last one that did."""

    number: int
    started_at: datetime
    finished_at: datetime
    worker: str | None = None
    error: str | None = None
    traceback: str | None = None
    log: str | None = None


class Progress(NamedTuple):
    """The newest progress that a task reported."""

    done: float
    total: float | None = None
    message: str | None = None


@dataclass(frozen=True)
class TaskResult:
    """What is known of a task. Times are aware, in UTC.

    ``error`` reads ``ValueError: message``; for a cancelled task it is the reason.
    ``dead_reason`` is set when Flowrra, not the task, gave up; ``due_at`` while a delay or a retry waits.
    """

    task_id: str
    status: TaskStatus
    result: Any = None
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retries: int = 0
    task_name: str = ""
    traceback: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    submitted_at: datetime | None = None
    priority: int = 0
    queue: str = "default"
    worker: str | None = None
    attempts: tuple[Attempt, ...] = ()
    progress: Progress | None = None
    dead_reason: str | None = None
    retry_of: str | None = None
    due_at: datetime | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the status is final: success, failed or cancelled."""
        return self.status in FINAL

    @property
    def is_success(self) -> bool:
        """Whether the task returned a value."""
        return self.status is TaskStatus.SUCCESS
