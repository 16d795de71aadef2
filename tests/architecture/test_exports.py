"""What the package says that it exports is there, and it says so for everything public."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import flowrra
from source_tree import FILES, parse, place

#: What documents and the examples of earlier versions import from ``flowrra``.
DOCUMENTED = {
    "BackendConfig", "BrokerConfig", "CPUExecutor", "Config", "ExecutorConfig", "Flowrra", "IOExecutor",
    "InMemoryBackend", "SPI_VERSION", "SchedulerConfig", "Task", "TaskHandle", "TaskRegistry", "TaskResult",
    "TaskStatus", "__version__", "current_task",
}  # fmt: skip


def _exports(file: Path) -> list[str] | None:
    for node in parse(file).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                names: list[str] = ast.literal_eval(node.value)
                return names
    return None


WITH_EXPORTS = [(module, names) for module, file in FILES if (names := _exports(file)) is not None]


@pytest.mark.parametrize(("module", "names"), WITH_EXPORTS, ids=[module for module, _ in WITH_EXPORTS])
def test_exported_names_exist(module: str, names: list[str]) -> None:
    loaded = importlib.import_module(module)

    assert [name for name in names if not hasattr(loaded, name)] == []
    assert len(names) == len(set(names))


def test_packages_say_what_they_export() -> None:
    """A package's ``__init__.py`` re-exports; without ``__all__`` type checkers take that for private."""
    silent = [
        place(file)
        for module, file in FILES
        if file.name == "__init__.py" and module != "flowrra" and parse(file).body and _exports(file) is None
        if any(isinstance(node, ast.ImportFrom) for node in parse(file).body)
    ]

    assert silent == []


def test_the_documented_names_can_be_imported() -> None:
    assert sorted(name for name in DOCUMENTED if not hasattr(flowrra, name)) == []


def test_every_error_can_be_imported_from_the_package() -> None:
    errors = importlib.import_module("flowrra.exceptions")
    names = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.FlowrraError)
    }

    assert names <= set(dir(flowrra))
    assert "FlowrraError" in names
