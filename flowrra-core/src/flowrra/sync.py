"""The application for code that has no event loop: views under WSGI, scripts, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from flowrra.registry import AnyTask
from flowrra.result import TaskResult
from flowrra.task import Signature, TaskHandle

if TYPE_CHECKING:
    from flowrra.app import Flowrra

R = TypeVar("R")


class SyncFlowrra:
    """``app.sync``: the application's calls, blocking. Safe from any thread without a running loop.

    Every method does and raises what the application's method of the same name does, and raises
    RuntimeError at once on a thread that runs an event loop.
    """

    def __init__(self, app: Flowrra) -> None:
        self._app = app

    def submit(
        self,
        task: AnyTask | Callable[..., Any] | str,
        /,
        *args: Any,
        priority: int | None = None,
        **kwargs: Any,
    ) -> str:
        """Queue a call and return its id."""
        return self._app.home.call_sync(
            lambda: self._app.submit(task, *args, priority=priority, **kwargs), "app.submit(...)"
        )

    def submit_many(self, signatures: Iterable[Signature[R]]) -> list[TaskHandle[R]]:
        """Queue many calls in few round trips."""
        return self._app.home.call_sync(lambda: self._app.submit_many(signatures), "app.submit_many(...)")

    def wait_for_result(self, task_id: str, timeout: float | None = None) -> TaskResult:
        """Wait for a task's final result."""
        return self._app.home.call_sync(
            lambda: self._app.wait_for_result(task_id, timeout), "app.wait_for_result(...)"
        )

    def get_result(self, task_id: str) -> TaskResult | None:
        """What is known of a task."""
        return self._app.home.call_sync(lambda: self._app.get_result(task_id), "app.get_result(...)")

    def cancel(self, task_id: str) -> bool:
        """Cancel a task."""
        return self._app.home.call_sync(lambda: self._app.cancel(task_id), "app.cancel(...)")

    def retry(self, task_id: str) -> str:
        """Submit a finished task again."""
        return self._app.home.call_sync(lambda: self._app.retry(task_id), "app.retry(...)")

    def pending_count(self) -> int:
        """Tasks that wait."""
        return self._app.home.call_sync(self._app.pending_count, "app.pending_count()")
