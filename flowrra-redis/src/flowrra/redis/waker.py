"""Sleeping until there may be something to claim, woken by tokens that producers push."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from flowrra.redis.calls import Plain, Role
from flowrra.redis.keys import wake_keys
from flowrra.redis.server import Server

#: Seconds between two looks where the server can't wake us for everything that we wait for.
_NAP: Final = 0.25
#: The longest wait, in seconds, for one answer: a network that falls silent is noticed soon after it.
_LONGEST: Final = 2.0


class Waker:
    """Takes tokens, one at a time. A token that nobody here waits for any more goes back to the others."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._keys: list[str] = []
        self._popping: asyncio.Task[str | None] | None = None
        self._waiting = 0

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        """Suspend until a token for one of *lanes* comes, at most *timeout* seconds. Cancelling keeps the
        connection as it is, for the next wait."""
        keys = sorted(key for queue in queues for key in wake_keys(queue, lanes))
        if not keys or not self._server.can_block:
            await asyncio.sleep(min(timeout, _NAP))
            return
        groups = self._server.groups(keys)
        if len(groups) > 1:  # in a cluster, one command waits for the keys of one slot only
            keys, timeout = [keys[index] for index in groups[0]], min(timeout, _NAP)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        self._waiting += 1
        try:
            while (now := loop.time()) < end:
                longest = min(end - now, _LONGEST)
                token = await asyncio.shield(await self._pop(keys, longest))
                if token is not None or loop.time() - now < longest:
                    return  # a token, or a connection that was lost and is back
        finally:
            self._waiting -= 1

    async def _pop(self, keys: list[str], timeout: float) -> asyncio.Task[str | None]:
        """What takes the next token for *keys*."""
        popping = self._popping
        if popping is not None and not popping.done() and keys != self._keys:
            await self._server.unblock()
            await asyncio.wait([popping])
        if self._popping is None or self._popping.done():
            self._keys = keys
            self._popping = asyncio.create_task(self._take(keys, timeout))
            self._popping.add_done_callback(_retrieve)
        return self._popping

    async def _take(self, keys: list[str], timeout: float) -> str | None:
        """Take a token, and give it back if nobody waits for it by now."""
        found = await self._server.block(Plain(("BLPOP", *keys, timeout), keys[0]), timeout)
        if found is None:
            return None
        key: str = found[0].decode()
        if not self._waiting or key not in self._keys:
            await self._server.run(Role.COMMAND, [Plain(("RPUSH", key, "1"), key)])
        return key

    async def close(self) -> None:
        """Take no more."""
        if self._popping is not None:
            self._popping.cancel()
            await asyncio.gather(self._popping, return_exceptions=True)
            self._popping = None


def _retrieve(task: asyncio.Task[str | None]) -> None:
    """Whoever waited has the error; without anybody it doesn't matter."""
    if not task.cancelled():
        task.exception()
