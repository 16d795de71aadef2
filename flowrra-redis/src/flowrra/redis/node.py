"""One Redis server and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.exceptions import NoScriptError, ResponseError

from flowrra.redis.addresses import Address
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.link import Link

_APART: Final = {role: role for role in Role}
#: Which roles share a connection where there may be only so many.
_SHARED: Final[Mapping[int, Mapping[Role, Role]]] = {
    1: dict.fromkeys(Role, Role.COMMAND),
    2: {**dict.fromkeys(Role, Role.COMMAND), Role.BLOCK: Role.BLOCK},
    3: {**_APART, Role.CLAIM: Role.COMMAND},
}


class Node:
    """A server: the only one, or one of a cluster."""

    def __init__(
        self, address: Address, *, timeout: float, retry_on_timeout: bool, max_connections: int
    ) -> None:
        self.address: Final = address
        self._timeout = timeout
        self._resend = retry_on_timeout
        self._lines = _SHARED.get(max_connections, _APART)
        self._links: dict[Role, Link] = {}

    def link(self, role: Role) -> Link:
        """The connection for *role*."""
        line = self._lines[role]
        if line not in self._links:
            self._links[line] = Link(self.address, timeout=self._timeout, retry_on_timeout=self._resend)
        return self._links[line]

    async def ask(
        self, role: Role, calls: Sequence[Call | Plain], until: float, *, asking: bool = False
    ) -> list[Any]:
        """Make all calls in one write, once; their replies, errors in place. A script that the server
        doesn't know is loaded, and then its calls are made again. *asking*: for a slot on its way here."""
        link = self.link(role)
        replies = await _exchange(link, calls, until, asking)
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            again = [calls[index] for index in missing]
            refused = await _load(link, again, until)
            answers = await _exchange(link, again, until, asking)
            for index, answer in zip(missing, answers, strict=True):
                replies[index] = refused if refused and isinstance(answer, NoScriptError) else answer
        return replies

    def drop(self) -> None:
        """Let go of every connection at once."""
        for link in self._links.values():
            link.drop()

    async def close(self) -> None:
        """Let go of every connection for good."""
        await asyncio.gather(*(link.close() for link in self._links.values()))


async def _exchange(link: Link, calls: Sequence[Call | Plain], until: float, asking: bool) -> list[Any]:
    if not asking:
        return await link.attempt([call.command for call in calls], until)
    pairs = [part for call in calls for part in (("ASKING",), call.command)]
    return (await link.attempt(pairs, until))[1::2]


async def _load(link: Link, calls: Sequence[Call | Plain], until: float) -> ResponseError | None:
    """Load the calls' scripts; what the server says against one of them."""
    texts = dict.fromkeys(call.script.text for call in calls if isinstance(call, Call))
    answers = await link.attempt([("SCRIPT", "LOAD", text) for text in texts], until)
    return next((answer for answer in answers if isinstance(answer, ResponseError)), None)
