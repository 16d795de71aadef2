"""Notices when Python files change."""

from __future__ import annotations

import logging
import tokenize
from collections.abc import AsyncIterator, Iterable
from importlib.util import find_spec
from pathlib import Path

import click

logger: logging.Logger = logging.getLogger("flowrra.cli.worker")


def require_watchfiles() -> None:
    """Refuse to go on without what watches files."""
    if find_spec("watchfiles") is None:
        raise click.UsageError("--reload needs watchfiles, which isn't installed: pip install 'flowrra[dev]'")


async def changes(folder: Path) -> AsyncIterator[list[str]]:
    """The names of Python files below *folder* that changed together, time after time. Changes with a
    syntax error are told and left out: nothing could run with them.

    Raises:
        OSError: The system can't watch the folder.
    """
    from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]  (names trio)

    async for changed in awatch(folder, watch_filter=PythonFilter()):
        files = sorted({Path(path) for _, path in changed})
        if (error := _syntax_error(files)) is not None:
            logger.error("%s; nothing is restarted until it changes again", error)
        else:
            yield [_name(file, folder) for file in files]


def _syntax_error(files: Iterable[Path]) -> str | None:
    """What is wrong with the first file that isn't Python, and where."""
    for file in (each for each in files if each.suffix == ".py"):
        try:
            with tokenize.open(file) as opened:
                compile(opened.read(), file, "exec", dont_inherit=True)
        except OSError:  # deleted meanwhile
            continue
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            return f"{file}{line}: {type(error).__name__}: {getattr(error, 'msg', error)}"
    return None


def _name(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)
