"""The executors of one application, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrra import discovery
from flowrra.config import ExecutorConfig
from flowrra.protocols import Executor
from flowrra.registry import TaskRegistry

#: Kinds that every worker offers.
_STANDARD = ("io", "thread", "cpu")


class ExecutorTable(Mapping[str, Executor]):
    """Makes an executor when its kind is first asked for, and keeps it."""

    def __init__(self, config: ExecutorConfig) -> None:
        self._config = config
        #: What has been made so far.
        self.made: dict[str, Executor] = {}

    def __getitem__(self, kind: str) -> Executor:
        if kind not in self.made:
            self.made[kind] = discovery.executors.resolve(kind)(self._config)
        return self.made[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self.made or kind in discovery.executors.names()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self.made, *discovery.executors.names()}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def forget(self) -> None:
        """Let go of executors whose loop is closed; others are made when they are asked for."""
        self.made = {}

    def for_tasks(self, registry: TaskRegistry) -> list[str]:
        """The kinds that a worker of these tasks needs.

        Raises:
            UnknownSchemeError: A task names a kind that nothing installed provides.
        """
        kinds = sorted({*_STANDARD, *(task.kind for task in registry)})
        for kind in kinds:
            self[kind]
        return kinds
