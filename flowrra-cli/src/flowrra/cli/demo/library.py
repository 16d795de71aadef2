"""The files that the demonstration works on."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowrra.exceptions import ConfigError

#: Folders whose files are somebody else's.
_FOREIGN = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file as the folder's listing shows it."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Library:
    """Every ``.py`` file below a folder."""

    folder: Path
    files: tuple[Source, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def name(self, path: str) -> str:
        """A file's path below the folder."""
        return os.path.relpath(path, self.folder)


def find_library(folder: Path | None) -> Library:
    """List a folder, by default this interpreter's standard library, packages that were added left out.

    Raises:
        ConfigError: It holds no Python file.
    """
    root = (folder or Path(sysconfig.get_path("stdlib"))).resolve()
    files = tuple(Source(str(path), path.stat().st_size) for path in _walk(root))
    if not files:
        raise ConfigError(f"there are no .py files in {root}; name another folder with --path")
    return Library(root, files)


def _walk(root: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _FOREIGN)  # the walk enters what is left
        paths = (Path(at, name) for name in sorted(names) if name.endswith(".py"))
        yield from (path for path in paths if path.is_file())
