"""redis-py's connections, which connect, log in and parse, with a lean way to send and read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import hiredis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)

#: A command with its arguments.
Command: TypeAlias = tuple[bytes | str | int | float, ...]

# hiredis says that a command has one part, and not what comes out.
_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)  # pyright: ignore[reportUnknownMemberType]

#: The name under which CLIENT LIST shows the connections.
CLIENT_NAME = "flowrra"


class Wire(AbstractConnection):
    """One connection. It never times out, retries or reconnects by itself: that is its owner's affair."""

    async def greet(self) -> int | None:
        """Connect, log in and give the connection its name; its CLIENT ID, or None if that is not allowed."""
        try:
            await cast("Any", self).connect()
        except RuntimeError as error:
            # uvloop's word for writing to a connection that was reset meanwhile.
            raise ConnectionResetError(str(error)) from None
        answers = await self.exchange([("CLIENT", "SETNAME", CLIENT_NAME), ("CLIENT", "ID")])
        client_id: object = answers[1]
        return client_id if isinstance(client_id, int) else None

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands at once and read their replies; error replies are among them."""
        await self.send(commands)
        return [await self.reply() for _ in commands]

    async def send(self, commands: Sequence[Command]) -> None:
        """Send all commands in one piece. Never connects, unlike redis-py's way."""
        if self._writer is None or self._writer.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._writer.write(b"".join([_pack(command) for command in commands]))
        await self._writer.drain()

    async def reply(self) -> Any:
        """Read the next reply as bytes; an error reply is returned. What else fails breaks the connection."""
        return await cast("Any", self._parser).read_response(disable_decoding=True)

    async def close(self) -> None:
        """Let go of the connection in good order, or after a second at once."""
        if self._writer is not None:
            self._writer.close()
            try:
                async with asyncio.timeout(1):
                    await self._writer.wait_closed()
            except OSError:
                pass
        self.abort()

    def abort(self) -> None:
        """Let go of the connection at once, whatever is still unsent."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None
        cast("Any", self._parser).on_disconnect()


class TCPWire(Wire, Connection):
    """A connection over TCP."""


class TLSWire(Wire, SSLConnection):
    """A connection over TLS."""


class UnixWire(Wire, UnixDomainSocketConnection):
    """A connection over a Unix domain socket."""
