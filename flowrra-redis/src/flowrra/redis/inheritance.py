"""Connections that a forked child got from its parent: kept, never touched; closing could disturb it."""

from __future__ import annotations

from typing import Final

_kept: Final[list[object]] = []


def keep_inherited(*owners: object) -> None:
    """Keep what owns connections of the parent for as long as this process lives."""
    _kept.append(owners)
