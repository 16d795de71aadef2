"""Events to every process that listens."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Final, TypeAlias

from flowrra.clock import Clock, sleep
from flowrra.exceptions import FlowrraError, PermanentError, TransientError
from flowrra.redis.board import WORKERS_KEY
from flowrra.redis.calls import Plain, Role
from flowrra.redis.server import Server
from flowrra.redis.subscription import Subscription
from flowrra.reports import Event

#: A listener's queue. After None or an error comes nothing more.
Listener: TypeAlias = "asyncio.Queue[Event | PermanentError | None]"

EVENTS: Final = "flowrra:events"
#: Where workers hear orders, apart from all that they would have to skip.
ORDERS: Final = "flowrra:orders"
_ORDER: Final = "cancel"

#: Events that a slow listener may fall behind; then it loses the oldest.
BACKLOG: Final = 1_000

#: Listeners leave a mark on the server: where, for how many milliseconds, renewed after how many seconds.
_MARK: Final = f"{WORKERS_KEY}watching"
_MARK_LASTS: Final = 30_000
_MARK_AGAIN: Final = 10.0

#: Seconds after which a publisher looks for the mark again, and in which it believes what it saw last.
_LOOK_AGAIN: Final = 1.0
_BELIEVED: Final = 5.0

#: Seconds between attempts to listen.
_TRY_AGAIN: Final = 1.0

_logger: Final = logging.getLogger(__name__)


class RedisStream:
    """Sends events through the server, and hands what comes to each listener's own queue."""

    def __init__(self, server: Server, subscription: Subscription, clock: Clock) -> None:
        self._server = server
        self._subscription = subscription
        self._clock = clock
        self._listeners: dict[Listener, Collection[str] | None] = {}
        #: The channels that are subscribed, and the task that brings them into line with the listeners.
        self._tuned: set[str] = set()
        self._tuning: asyncio.Task[None] | None = None
        self._marking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._mark_seen = False
        self._looked_at = float("-inf")

    @property
    def watched(self) -> bool:
        """Whether anybody may be listening, by what was seen seconds ago; True if that is not known."""
        if self._watches():
            return True
        age = self._clock.monotonic() - self._looked_at
        if age > _LOOK_AGAIN and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())
        return self._mark_seen or age > _BELIEVED

    async def publish(self, events: Sequence[Event]) -> None:
        """Send events, in one message; orders in another."""
        orders = [event for event in events if event.kind == _ORDER]
        others = [event for event in events if event.kind != _ORDER]
        calls = [
            Plain(("PUBLISH", channel, _pack(batch)))
            for channel, batch in ((EVENTS, others), (ORDERS, orders))
            if batch
        ]
        await self._server.run(Role.COMMAND, calls)

    async def events(self, kinds: Collection[str] | None = None) -> AsyncGenerator[Event, None]:
        """Events from the first step of the iteration on, until the backend is closed. A server that is
        away is waited for.

        Raises:
            PermanentError: The server refuses the login or the channels.
        """
        listener: Listener = asyncio.Queue(BACKLOG)
        self._listeners[listener] = kinds
        self._tune()
        try:
            while (event := await listener.get()) is not None:
                if isinstance(event, PermanentError):
                    raise event
                yield event
        finally:
            self._listeners.pop(listener, None)
            self._tune()

    def take(self, channel: str, message: bytes) -> None:
        """Events came."""
        for event in _unpack(message):
            for listener, kinds in self._listeners.items():
                if kinds is None or event.kind in kinds:
                    _put(listener, event)

    async def close(self) -> None:
        """End every listener's iterator."""
        self._end(None)
        tasks = [task for task in (self._tuning, self._marking, self._looking) if task is not None]
        self._tuning = self._marking = self._looking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tuned = set()

    def _end(self, last: PermanentError | None) -> None:
        """Let every listener come to its end, with an error if there is one."""
        for listener in self._listeners:
            _put(listener, last)
        self._listeners.clear()

    def _watches(self) -> bool:
        """Whether a listener of this process wants more than orders."""
        return any(kinds is None or set(kinds) != {_ORDER} for kinds in self._listeners.values())

    def _channels(self) -> set[str]:
        """What the listeners of this process need."""
        wants_orders = any(kinds is None or _ORDER in kinds for kinds in self._listeners.values())
        wanted = {ORDERS: wants_orders, EVENTS: self._watches()}
        return {channel for channel, is_wanted in wanted.items() if is_wanted}

    def _tune(self) -> None:
        """Go by the listeners that there are now."""
        if self._channels() != self._tuned and (self._tuning is None or self._tuning.done()):
            self._tuning = asyncio.create_task(self._tune_in())
        if self._watches():
            self._marking = self._marking or asyncio.create_task(self._keep_marked())
        elif self._marking is not None:
            self._marking.cancel()
            self._marking = None

    async def _tune_in(self) -> None:
        """Subscribe to what the listeners need, and to nothing else. No listener's own end can disturb it."""
        while (wanted := self._channels()) != self._tuned:
            try:
                await self._subscription.unsubscribe(*(self._tuned - wanted))
                if more := wanted - self._tuned:
                    await self._subscription.subscribe(*more)
                self._tuned = wanted
            except TransientError as error:
                _logger.warning("can't listen to events: %s; trying again", error)
                await sleep(self._clock, _TRY_AGAIN)
            except PermanentError as error:
                self._end(error)

    async def _keep_marked(self) -> None:
        mark = Plain(("SET", _MARK, "1", "PX", _MARK_LASTS), _MARK)
        while True:
            try:
                await self._server.run(Role.COMMAND, [mark])
            except FlowrraError as error:
                _logger.warning("nobody may notice that events are listened to: %s", error)
            await sleep(self._clock, _MARK_AGAIN)

    async def _look(self) -> None:
        try:
            self._mark_seen = bool(
                (await self._server.run(Role.COMMAND, [Plain(("EXISTS", _MARK), _MARK)]))[0]
            )
        except FlowrraError:
            self._mark_seen = False
        self._looked_at = self._clock.monotonic()


def _put(listener: Listener, event: Event | PermanentError | None) -> None:
    if listener.full():
        listener.get_nowait()
    listener.put_nowait(event)


def _pack(events: Sequence[Event]) -> str:
    fields = [
        (event.kind, event.at, event.task_id, event.task, event.queue, event.data and dict(event.data))
        for event in events
    ]
    return json.dumps(fields, separators=(",", ":"))


def _unpack(message: bytes) -> list[Event]:
    return [Event(*fields) for fields in json.loads(message)]
