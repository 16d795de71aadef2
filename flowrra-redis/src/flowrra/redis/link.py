"""One connection to one server, which opens itself again when it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from flowrra.exceptions import PermanentError
from flowrra.redis.addresses import Address
from flowrra.redis.errors import BROKEN
from flowrra.redis.patience import SHARE, Patience
from flowrra.redis.wire import Command, Wire


class Link:
    """A connection that is opened at first use and belongs to one caller at a time.

    Everything sent may be sent twice, after a connection broke before its reply came: send
    only what may be repeated.
    """

    def __init__(self, address: Address, *, timeout: float, retry_on_timeout: bool) -> None:
        self.address = address
        #: The server's number of the connection while there is one and the user may ask for it.
        self.client_id: int | None = None
        self._timeout = timeout
        self._resend = retry_on_timeout
        self._wire: Wire | None = None
        self._closed = False
        self._turn = asyncio.Lock()

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way."""
        return self._turn.locked()

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands in one write and return their replies in order, as bytes, whole numbers and
        lists. An error reply stands in its place as a ``redis.exceptions.ResponseError``.

        Raises:
            TransientError: No reply within the timeout, connecting and trying again included.
            PermanentError: The server refuses the login or the database, or isn't the right one.
        """
        patience = Patience(self._timeout, resend=self._resend)
        while True:
            try:
                return await self.attempt(commands, patience.limit())
            except BROKEN as error:
                failure = error
            await patience.after(failure, self.address.name)

    async def block(self, command: Command, seconds: float) -> Any:
        """Send a command that the server answers within *seconds*, and return its reply.

        None also if the connection broke, or fell silent for half of the timeout too long: it is open again,
        and the caller should look for itself.

        Raises:
            TransientError: No reply within *seconds* and the timeout.
            PermanentError: As for ``call``.
        """
        patience = Patience(seconds / SHARE + self._timeout, resend=self._resend)
        spare = self._timeout / 2 if self._resend else 0.0
        try:
            return (await self.attempt([command], patience.until - spare))[0]
        except BROKEN as error:
            failure = error
        while True:
            await patience.after(failure, self.address.name)
            try:
                await self.attempt([], patience.until)
            except BROKEN as error:
                failure = error
            else:
                return None

    async def attempt(self, commands: Sequence[Command], until: float) -> list[Any]:
        """Try once, until the loop's clock says *until*. After any failure the connection is gone, so that
        no reply reaches somebody else; the errors are those of ``errors.BROKEN``."""
        async with asyncio.timeout_at(until), self._turn:
            wire = self._wire or await self._open()
            try:
                return await wire.exchange(commands)
            except BaseException:
                self.drop()
                raise

    async def _open(self) -> Wire:
        self._check()
        wire = self.address.wire()
        try:
            client_id = await wire.greet()
            self._check()
        except BaseException:
            wire.abort()
            raise
        self._wire, self.client_id = wire, client_id
        return wire

    def _check(self) -> None:
        if self._closed:
            raise PermanentError(f"the connection to Redis at {self.address.name} was closed; open it first")

    def drop(self) -> None:
        """Let go of the connection at once."""
        wire, self._wire, self.client_id = self._wire, None, None
        if wire is not None:
            wire.abort()

    async def close(self) -> None:
        """Let go of the connection for good. Idempotent; later calls raise PermanentError."""
        self._closed = True
        wire, self._wire, self.client_id = self._wire, None, None
        if wire is not None:
            await wire.close()
