"""The names of keys. All keys of one queue carry one hash tag: a cluster keeps them together."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

#: The set of all queues that were ever used.
QUEUES: Final = "flowrra:queues"


def tag(text: str) -> str:
    """*text* as a hash tag: in braces, its own braces escaped."""
    if "{" in text or "}" in text or "%" in text:
        text = text.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return "{" + text + "}"


@lru_cache(maxsize=1024)
def queue_prefix(queue: str) -> str:
    """What the keys of *queue* begin with."""
    return f"flowrra:{tag(queue)}:"


def wake_keys(queue: str, lanes: Iterable[str]) -> list[str]:
    """The lists of tokens that wake whoever waits for one of *lanes*."""
    prefix = queue_prefix(queue)
    return [f"{prefix}wake:{lane}" for lane in lanes]
