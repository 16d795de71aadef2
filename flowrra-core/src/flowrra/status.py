"""Where a task can stand."""

from __future__ import annotations

from enum import Enum


class TaskStatus(Enum):
    """Where a task stands. ``SUCCESS``, ``FAILED`` and ``CANCELLED`` are final."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    RETRYING = "retrying"
    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"
