"""The end of a script in a worker process: it is executed only as far as its tasks are defined."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

_loading: int = 0


class _Loaded(SystemExit):
    """Ends the execution of a module: what follows is not meant for a worker process."""


def stop_here_if_loading() -> None:
    """End the module that is being executed, if a worker process does so only to find a task's function.

    To be called where an application starts: a worker process must not start it once more.
    """
    if _loading:
        raise _Loaded("a worker process that looks for a task's function doesn't start the application")


@contextmanager
def loading() -> Generator[None]:
    """While a module is executed only to find a function."""
    global _loading  # noqa: PLW0603  (a fact about this process)
    _loading += 1
    try:
        yield
    finally:
        _loading -= 1
