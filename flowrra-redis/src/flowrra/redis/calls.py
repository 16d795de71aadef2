"""What a server is asked: scripts, and plain commands."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from flowrra.redis.scripts import Script
from flowrra.redis.wire import Command


class Role(Enum):
    """What a connection is for. There is one of each to a node, opened at first use."""

    COMMAND = "command"
    CLAIM = "claim"
    SETTLE = "settle"
    BLOCK = "block"


class Call(NamedTuple):
    """A script with its keys, all of one slot, and its arguments."""

    script: Script
    keys: tuple[str | bytes, ...]
    args: Sequence[bytes | str | int | float] = ()

    @property
    def key(self) -> str | bytes | None:
        """What decides to which node the call goes."""
        return self.keys[0] if self.keys else None

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"the script {self.script.name!r}"

    @property
    def command(self) -> Command:
        """What is sent."""
        return ("EVALSHA", self.script.sha1, len(self.keys), *self.keys, *self.args)


class Plain(NamedTuple):
    """A plain command, and the key that decides to which node it goes; without one, any node will do."""

    command: Command
    key: str | bytes | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.command[0])
