"""Celery, with Redis for messages and results."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks.redis import workload

celery: Any = import_module("celery")
app = celery.Celery("benchmark", broker=workload.URL, backend=workload.URL)
TASKS = {
    "noop": app.task(workload.noop_in_thread, name="noop"),
    "pause": app.task(workload.pause_in_thread, name="pause"),
}


class Adapter:
    """The application."""

    async def start(self) -> None:
        """Connect with the first call."""

    async def stop(self) -> None:
        """Disconnect."""
        app.close()

    async def submit(self, task: str, argument: Any) -> Any:
        """One by one."""
        return TASKS[task].delay(argument)

    async def submit_batch(self, task: str, arguments: Sequence[Any]) -> list[Any]:
        """It has no batches."""
        return await workload.one_by_one(self, task, arguments)

    async def read(self, handle: Any) -> object:
        """What the result backend holds."""
        found = app.backend.get_task_meta(handle.id)
        return found["result"] if found["status"] == "SUCCESS" else None

    async def result(self, handle: Any, timeout: float) -> object:
        """Pushed."""
        try:
            return handle.get(timeout=timeout)
        except celery.exceptions.TimeoutError as error:
            raise TimeoutError from error
