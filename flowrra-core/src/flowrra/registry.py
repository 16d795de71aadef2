"""The tasks of one application, by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from flowrra.exceptions import DuplicateTaskError, UnregisteredTaskError
from flowrra.task import Task

AnyTask: TypeAlias = Task[..., Any, Any]


class TaskRegistry:
    """Names to tasks. One function has one name; one name has one function."""

    def __init__(self) -> None:
        self._tasks: dict[str, AnyTask] = {}
        self._queues: list[str] = ["default"]

    def __iter__(self) -> Iterator[AnyTask]:
        return iter(list(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, name: object) -> bool:
        return name in self._tasks

    def add(self, task: AnyTask) -> None:
        """Register *task*.

        The same function again (of a reloaded module, or of ``__main__`` and its module) replaces it.

        Raises:
            DuplicateTaskError: Another function has this name.
        """
        first = self._tasks.get(task.name)
        if first is not None and _origin(first) != _origin(task):
            raise DuplicateTaskError(task.name, _where(first), _where(task))
        self._tasks[task.name] = task
        self._queues = sorted({"default", *(each.defaults.queue for each in self._tasks.values())})

    def get(self, name: str) -> AnyTask | None:
        """The task called *name*, or None."""
        return self._tasks.get(name)

    def require(self, name: str) -> AnyTask:
        """The task called *name*.

        Raises:
            UnregisteredTaskError: There is none; near matches are named.
        """
        task = self._tasks.get(name)
        if task is None:
            raise UnregisteredTaskError(name, self._tasks.keys())
        return task

    def require_function(self, function: Callable[..., Any]) -> AnyTask:
        """The task that *function* was made.

        Raises:
            UnregisteredTaskError: It was made none here; near matches are named.
        """
        for task in self._tasks.values():
            if task.function is function:
                return task
        raise UnregisteredTaskError(getattr(function, "__name__", repr(function)), self._tasks.keys())

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._tasks)

    def queues(self) -> list[str]:
        """The queues that tasks name, sorted; at least ``default``."""
        return self._queues


def _origin(task: AnyTask) -> tuple[str, str]:
    return os.path.realpath(task.file), task.function.__qualname__


def _where(task: AnyTask) -> str:
    return f"{task.function.__qualname__} in {task.file}"
