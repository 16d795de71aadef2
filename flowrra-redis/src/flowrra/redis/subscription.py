"""Messages from the server's channels, through connections that break and come back."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from redis.exceptions import ResponseError

from flowrra.exceptions import FlowrraError, PermanentError, TransientError
from flowrra.redis.errors import BROKEN, final, refusal, told
from flowrra.redis.patience import SHARE, pauses
from flowrra.redis.server import Server
from flowrra.redis.wire import Command, Wire

_logger = logging.getLogger(__name__)


class Subscription:
    """Hands every message of the subscribed channels to a callback, on a connection of its own.

    The connection is opened at the first ``subscribe`` and comes back by itself; then *on_gap*
    is called, since messages may have been lost. Callbacks must be quick.
    """

    def __init__(
        self, server: Server, on_message: Callable[[str, bytes], None], on_gap: Callable[[], None]
    ) -> None:
        self._server = server
        self._on_message = on_message
        self._on_gap = on_gap
        #: For each channel, what is done once the server has confirmed it.
        self._channels: dict[str, asyncio.Future[None]] = {}
        #: What was sent and not yet confirmed. The server answers in order.
        self._awaited: deque[str] = deque()
        self._has_gap = False
        self._wire: Wire | None = None
        self._heard = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble: BaseException = TimeoutError()

    async def subscribe(self, *channels: str) -> None:
        """Listen to *channels*: what is published after this returns is handed on.

        Whoever is cancelled meanwhile leaves the channels subscribed, for others may wait for them too.

        Raises:
            TransientError: The server didn't confirm within its timeout; nothing new is subscribed.
            PermanentError: The server refuses the login or a channel; nothing new is subscribed.
        """
        loop = asyncio.get_running_loop()
        if not self._tasks:
            self._tasks = [loop.create_task(self._keep_listening()), loop.create_task(self._keep_checking())]
        new = [channel for channel in channels if channel not in self._channels]
        for channel in new:
            self._channels[channel] = loop.create_future()
        confirmed = [self._channels[channel] for channel in channels]
        try:
            async with asyncio.timeout(self._server.timeout * SHARE):
                await self._ask_for(new)
                for each in confirmed:
                    await asyncio.shield(each)
        except TimeoutError:
            await self.unsubscribe(*new)
            raise TransientError(
                f"Redis at {self._server.name} confirmed no subscription: {told(self._trouble)}; waited for "
                f"{self._server.timeout * SHARE:.3g} s. Check that it runs and can be reached from here"
            ) from None
        except FlowrraError:
            await self.unsubscribe(*new)
            if not self._channels:
                await self.close()
            raise

    async def unsubscribe(self, *channels: str) -> None:
        """Stop listening; after this returns, no message of *channels* is handed on."""
        known = [channel for channel in channels if channel in self._channels]
        self._fail(known, PermanentError("the channel was unsubscribed meanwhile"))
        for channel in known:
            del self._channels[channel]
        await self._send([("UNSUBSCRIBE", channel) for channel in known])

    async def close(self) -> None:
        """Let go of the connection and every channel. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail(self._channels, PermanentError("the subscription was closed"))
        self._channels.clear()
        self._has_gap = False

    async def _keep_listening(self) -> None:
        waits = pauses()
        while True:
            wire = None
            try:
                wire = await self._connect()
                waits = pauses()
                while True:
                    self._take(await wire.reply())
            except (*BROKEN, FlowrraError) as error:
                self._note(error)
            finally:
                self._wire = None
                if wire is not None:
                    wire.abort()
            await asyncio.sleep(next(waits))

    async def _connect(self) -> Wire:
        """Connect to any node, and subscribe to all channels."""
        wire = random.choice(self._server.addresses).wire()
        try:
            async with asyncio.timeout(self._server.timeout):
                await wire.greet()
                self._awaited.clear()
                for channel, future in self._channels.items():
                    if future.done():
                        self._channels[channel] = asyncio.get_running_loop().create_future()
                self._heard = asyncio.get_running_loop().time()
                self._wire = wire
                await self._ask_for(list(self._channels))
        except BaseException:
            wire.abort()
            raise
        self._end_gap()
        return wire

    async def _keep_checking(self) -> None:
        """Ask a silent server for a sign of life, and give up a connection on which none comes."""
        interval = self._server.timeout
        while True:
            await asyncio.sleep(interval)
            silence = asyncio.get_running_loop().time() - self._heard
            if self._wire is not None and silence > 2 * interval:
                self._wire.abort()
            elif silence > interval / 2:
                await self._send([("PING",)])

    async def _ask_for(self, channels: Iterable[str]) -> None:
        """Subscribe on the connection there is; the next one will subscribe to everything."""
        if self._wire is not None:
            self._awaited.extend(channels)
            await self._send([("SUBSCRIBE", channel) for channel in channels])

    async def _send(self, commands: list[Command]) -> None:
        """Send on the connection there is. If it is broken, its reader sees that too."""
        if self._wire is not None and commands:
            try:
                await self._wire.send(commands)
            except OSError as error:
                self._trouble = error

    def _take(self, reply: Any) -> None:
        """Deal with what the server sent."""
        self._heard = asyncio.get_running_loop().time()
        if isinstance(reply, ResponseError):
            if self._awaited:
                self._fail([self._awaited.popleft()], refusal(reply, "SUBSCRIBE", self._server.name))
        elif reply[0] == b"message":
            channel = reply[1].decode()
            if channel in self._channels:
                self._tell(self._on_message, channel, reply[2])
        elif reply[0] == b"subscribe":
            self._confirm(self._awaited.popleft())
        self._end_gap()

    def _confirm(self, channel: str) -> None:
        future = self._channels.get(channel)
        if future is not None and not future.done() and channel not in self._awaited:
            future.set_result(None)

    def _end_gap(self) -> None:
        """After a lost connection, once everything is subscribed again, say that messages may be missing."""
        if self._has_gap and not self._awaited:
            self._has_gap = False
            self._tell(self._on_gap)

    def _tell(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            _logger.exception("a callback for messages of Redis at %s failed", self._server.name)

    def _note(self, error: BaseException) -> None:
        """Remember why there is no connection; whoever waits for one is told if waiting can't help."""
        self._trouble = error
        self._has_gap = self._has_gap or self._wire is not None
        hopeless = error if isinstance(error, FlowrraError) else final(error, self._server.name)
        if hopeless is not None:
            self._fail(self._channels, hopeless)

    def _fail(self, channels: Iterable[str], error: BaseException) -> None:
        for channel in channels:
            future = self._channels.get(channel)
            if future is not None and not future.done():
                future.set_exception(error)
                # Perhaps nobody waits for it.
                future.exception()
