"""The Lua scripts: kept as files, sent by their digest."""

from __future__ import annotations

from functools import cache, cached_property
from hashlib import sha1
from importlib.resources import files
from typing import Final

#: The fragment that defines ``now()``.
CLOCK: Final = "clock"
_replaced: dict[str, str] = {}
_scripts: list[Script] = []


class Script:
    """A Lua script made of the files ``lua/<fragment>.lua``, in the order given."""

    def __init__(self, name: str, *fragments: str) -> None:
        self.name: Final = name
        self._fragments = fragments
        _scripts.append(self)

    def __repr__(self) -> str:
        return f"Script({self.name!r})"

    @cached_property
    def text(self) -> str:
        """What the server runs."""
        return "\n".join(_replaced.get(fragment) or _read(fragment) for fragment in self._fragments)

    @cached_property
    def sha1(self) -> str:
        """The digest by which the server knows it."""
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def replace_clock(text: str | None) -> None:
    """Let every script take its time from *text* instead of the server's clock; None puts that back.

    For tests: *text* is Lua and defines ``local function now()``.
    """
    _replaced.clear()
    if text is not None:
        _replaced[CLOCK] = text
    for script in _scripts:
        vars(script).pop("text", None)
        vars(script).pop("sha1", None)


@cache
def _read(fragment: str) -> str:
    return (files("flowrra.redis") / "lua" / f"{fragment}.lua").read_text("utf-8")
