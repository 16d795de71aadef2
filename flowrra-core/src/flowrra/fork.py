"""What lives in memory belongs to one process: a forked child drops its copy."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Resettable(Protocol):
    """Anything that can forget everything."""

    def reset(self) -> None:
        """Forget everything."""
        ...


_alive: Final[weakref.WeakSet[Resettable]] = weakref.WeakSet()


def drop_after_fork(owner: Resettable) -> None:
    """Reset *owner* in every child that this process forks."""
    _alive.add(owner)


def _reset_all() -> None:
    for owner in list(_alive):
        owner.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
