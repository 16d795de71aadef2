"""The repository as the architecture tests see it: distributions, modules, and what each imports."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distribution:
    """A folder with a ``pyproject.toml`` and sources in ``src``."""

    folder: Path

    @property
    def project(self) -> dict[str, Any]:
        """The table ``[project]``."""
        table: dict[str, Any] = tomllib.loads((self.folder / "pyproject.toml").read_text("utf-8"))["project"]
        return table

    @property
    def name(self) -> str:
        """The name to install it by."""
        return str(self.project["name"])

    def files(self) -> Iterator[tuple[str, Path]]:
        """Each module's dotted name and file."""
        source = self.folder / "src"
        for file in sorted(source.rglob("*.py")):
            parts = file.relative_to(source).with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__"), file


@dataclass(frozen=True)
class Import:
    """One import of ``target``, the module that gets imported, in ``line``."""

    target: str
    line: int
    at_start: bool  #: runs when the module is imported, not later inside a function


DISTRIBUTIONS = [
    Distribution(file.parent)
    for pattern in ("flowrra-*/pyproject.toml", "flowrra-*/*/pyproject.toml")
    for file in sorted(REPO.glob(pattern))
]

#: Every file of every distribution's sources. The namespace headers share one name.
FILES = [(name, file) for distribution in DISTRIBUTIONS for name, file in distribution.files()]
MODULES = dict(FILES)


@cache
def parse(file: Path) -> ast.Module:
    """Parse *file*, once."""
    return ast.parse(file.read_text("utf-8"), str(file))


def imports(name: str, file: Path) -> Iterator[Import]:
    """What the module *name* imports when it runs; ``if TYPE_CHECKING`` blocks never run."""
    pending: list[tuple[ast.AST, bool]] = [(parse(file), True)]
    while pending:
        node, at_start = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend((child, at_start) for child in node.orelse)
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_start = False
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (Import(target, node.lineno, at_start) for target in _targets(name, file, node))
        pending.extend((child, at_start) for child in ast.iter_child_nodes(node))


def _targets(name: str, file: Path, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    origin = ".".join(part for part in (package if node.level else "", node.module) if part)
    for alias in node.names:
        submodule = f"{origin}.{alias.name}"
        yield submodule if submodule in MODULES else origin


def top_level(module: str) -> str:
    """The first part of a dotted name."""
    return module.partition(".")[0]


def is_third_party(module: str) -> bool:
    """Whether *module* comes neither from here nor from the standard library."""
    return top_level(module) not in {"flowrra", *sys.stdlib_module_names}


def place(file: Path, line: int | None = None) -> str:
    """*file* as an editor opens it from the root of the repository."""
    return f"{file.relative_to(REPO)}{'' if line is None else f':{line}'}"
