"""Waiting for records: a script looks for them and notes where to send those that come later."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from flowrra.clock import Clock, Timer
from flowrra.exceptions import DecodingError, FlowrraError, PermanentError, TransientError
from flowrra.message import Record
from flowrra.redis.calls import Call, Role
from flowrra.redis.records import record_key, unpack_record
from flowrra.redis.runs import MOST
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server
from flowrra.redis.subscription import Subscription

Waiter: TypeAlias = "asyncio.Future[Record | None]"

_WAIT: Final = Script("wait", "records", "wait_record")

#: Seconds after which whoever still waits looks again: a message may be lost with its connection.
_LOOK_AGAIN: Final = 5.0
#: Milliseconds for which the server remembers who waits; each look renews them.
_REMEMBERED: Final = 3_600_000

_logger: Final = logging.getLogger(__name__)


class Waiting:
    """Who in this process waits for which record.

    One look is under way at a time. Whoever comes meanwhile shares the next one.
    """

    def __init__(self, server: Server, subscription: Subscription, clock: Clock) -> None:
        self._server = server
        self._subscription = subscription
        self._clock = clock
        #: Where this process is sent what it waits for.
        self.channel: Final = f"flowrra:reply:{os.urandom(10).hex()}"
        self._is_subscribed = False
        self._waiters: dict[str, list[Waiter]] = {}
        #: Of those ids, the ones that the server knows to be waited for.
        self._registered: set[str] = set()
        #: Whose time was over while the answer to a look was still to come.
        self._late: set[Waiter] = set()
        self._wanted: dict[str, None] = {}
        self._under_way: Sequence[str] = ()
        self._looking: asyncio.Task[None] | None = None
        self._next_look: Timer | None = None

    async def wait(self, task_id: str, timeout: float | None) -> Record | None:
        """Suspend until the record is there, at most *timeout* seconds; but look at least once."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(task_id, []).append(waiter)
        self._look([task_id])
        timer = timeout is not None and self._clock.call_later(timeout, lambda: self._expire(task_id, waiter))
        try:
            return await waiter
        finally:
            if timer:
                timer.cancel()
            self._leave(task_id, waiter)

    def take(self, message: bytes) -> None:
        """A record came, or the id alone of one that is too large to be sent to everybody."""
        length, _, rest = message.partition(b":")
        task_id, data = rest[: int(length)].decode(), rest[int(length) :]
        if data:
            self._tell(task_id, data)
        elif task_id in self._waiters:
            self._look([task_id])

    def look_again(self) -> None:
        """Messages may have been lost: look for everything that is waited for."""
        self._look(self._waiters)

    async def close(self) -> None:
        """Whoever still waits gets a TransientError."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._next_look is not None:
            self._next_look.cancel()
        self._looking = self._next_look = None
        self._is_subscribed = False
        self._wanted.clear()
        self._fail(list(self._waiters), TransientError("the backend was closed while a result was awaited"))

    def _look(self, ids: Iterable[str]) -> None:
        self._wanted.update(dict.fromkeys(ids))
        if self._wanted and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_for_all())
        if self._waiters and self._next_look is None:
            self._next_look = self._clock.call_later(_LOOK_AGAIN, self._on_time)

    def _on_time(self) -> None:
        self._next_look = None
        self.look_again()

    async def _look_for_all(self) -> None:
        while self._wanted:
            self._under_way, self._wanted = list(self._wanted), {}
            try:
                await self._look_once(self._under_way)
            except FlowrraError as error:
                self._note(error)
            except Exception as error:
                _logger.exception("can't look for results at %s", self._server.name)
                self._note(PermanentError(f"can't look for results: {error!r}"))
            ended, self._under_way = self._under_way, ()
            for waiter in [w for task_id in ended for w in self._waiters.get(task_id, ()) if w in self._late]:
                _hand(waiter, None)

    async def _look_once(self, ids: Sequence[str]) -> None:
        """One round trip. What is not there will be sent: whoever stores it finds the note."""
        if not self._is_subscribed:
            await self._subscription.subscribe(self.channel)
            self._is_subscribed = True
        groups = [
            [ids[position] for position in group[start : start + MOST]]
            for group in self._server.groups([record_key(task_id) for task_id in ids])
            for start in range(0, len(group), MOST)
        ]
        calls = [
            Call(_WAIT, (record_key(group[0]),), (self.channel, _REMEMBERED, *group)) for group in groups
        ]
        answers = await self._server.run(Role.COMMAND, calls)
        for group, records in zip(groups, answers, strict=True):
            for task_id, data in zip(group, records, strict=True):
                if data is not None:
                    self._tell(task_id, data)
                elif task_id in self._waiters:
                    self._registered.add(task_id)

    def _note(self, error: FlowrraError) -> None:
        """A look failed. Who is registered may hope for the next one, unless there is no hope."""
        hopeless = isinstance(error, PermanentError)
        self._fail([id for id in self._under_way if hopeless or id not in self._registered], error)

    def _tell(self, task_id: str, data: bytes) -> None:
        waiters = self._waiters.get(task_id)
        if not waiters:
            return
        try:
            record = unpack_record(task_id, data)
        except DecodingError as error:
            self._fail([task_id], error)
            return
        for waiter in waiters:
            _hand(waiter, record)

    def _fail(self, ids: Iterable[str], error: FlowrraError) -> None:
        for waiter in [waiter for task_id in ids for waiter in self._waiters.get(task_id, ())]:
            if not waiter.done():
                waiter.set_exception(error)

    def _expire(self, task_id: str, waiter: Waiter) -> None:
        if task_id in self._wanted or task_id in self._under_way:
            self._late.add(waiter)
        else:
            _hand(waiter, None)

    def _leave(self, task_id: str, waiter: Waiter) -> None:
        self._late.discard(waiter)
        waiters = self._waiters[task_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[task_id]
            self._registered.discard(task_id)
            self._wanted.pop(task_id, None)


def _hand(waiter: Waiter, record: Record | None) -> None:
    if not waiter.done():
        waiter.set_result(record)
