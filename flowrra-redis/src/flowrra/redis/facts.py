"""What a server says about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from flowrra.redis.errors import refusal
from flowrra.redis.link import Link


class Facts(NamedTuple):
    """What a server is, as it was when it was asked. None: the user may not ask for it."""

    version: tuple[int, ...]
    #: Whether it is a node of a cluster.
    cluster: bool
    #: ``master`` or ``replica``, in the server's own words.
    role: str
    #: The same for two connections to one server or one cluster, until it is restarted.
    run_id: str | None = None
    #: What the server does at its maxmemory, such as ``noeviction``.
    maxmemory_policy: str | None = None
    #: Whether every write goes to the append-only file.
    aof: bool | None = None
    #: Whether snapshots are configured.
    rdb: bool | None = None


async def ask_facts(link: Link) -> Facts:
    """Ask the server at the other end of *link*.

    Raises:
        PermanentError: It is too old to know HELLO.
    """
    hello, info, save = await link.call([("HELLO",), ("INFO",), ("CONFIG", "GET", "save")])
    if isinstance(hello, ResponseError):
        raise refusal(hello, "HELLO", link.address.name)
    said = {} if isinstance(info, ResponseError) else _lines(info)
    greeting = _pairs(hello)
    return Facts(
        version=_version(greeting["version"]),
        cluster=greeting["mode"] == "cluster",
        role=greeting["role"],
        run_id=said.get("run_id"),
        maxmemory_policy=said.get("maxmemory_policy"),
        aof=said["aof_enabled"] == "1" if "aof_enabled" in said else None,
        rdb=None if isinstance(save, ResponseError) else bool(_pairs(save).get("save")),
    )


def _lines(info: bytes) -> dict[str, str]:
    """INFO's answer by name."""
    pairs = (line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    return dict(pairs)


def _pairs(answer: Sequence[Any]) -> dict[str, str]:
    """The texts of an answer that alternates names and values."""
    texts = [part.decode() if isinstance(part, bytes) else str(part) for part in answer]
    return dict(zip(texts[::2], texts[1::2], strict=False))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
