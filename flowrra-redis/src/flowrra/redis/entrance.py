"""The way into the queues: calls that come together go together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final

from flowrra.message import Acceptance, Enqueued, Message
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.keys import QUEUES, queue_prefix
from flowrra.redis.messages import pack_message
from flowrra.redis.programs import AT_ONCE, ENQUEUE
from flowrra.redis.server import Server

#: Bytes of arguments in one call.
_CALL_BYTES: Final = 4 * 1024 * 1024
#: Messages in one round trip.
_ROUND: Final = 10 * AT_ONCE
#: Seconds after which a queue is entered in the directory once more.
_ANNOUNCE_EVERY: Final = 60.0
#: Scores of one priority.
_SPAN_BITS: Final = 43
_LOWEST: Final = -512

_Parcel = tuple[Sequence[Message], "asyncio.Future[list[Enqueued]]"]


class Entrance:
    """Enqueues messages. While one round trip is under way, what comes is gathered for the next."""

    def __init__(self, server: Server, limit: int | None) -> None:
        self._server = server
        self._limit = limit or 0
        self._announced: dict[str, float] = {}
        self._is_busy = False
        self._parcels: list[_Parcel] = []
        self._draining: asyncio.Task[None] | None = None

    async def put(self, messages: Sequence[Message]) -> list[Enqueued]:
        """Offer *messages* once and return the answer to each."""
        if self._is_busy:
            future: asyncio.Future[list[Enqueued]] = asyncio.get_running_loop().create_future()
            self._parcels.append((messages, future))
            return await future
        self._is_busy = True
        try:
            return await self._send(messages)
        finally:
            self._is_busy = False
            if self._parcels:
                self._is_busy = True
                self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        """Send what has gathered, until nothing has."""
        try:
            while self._parcels:
                parcels, self._parcels = self._parcels, []
                await self._send_parcels([parcel for parcel in parcels if not parcel[1].done()])
        finally:
            self._is_busy = False

    async def _send_parcels(self, parcels: Sequence[_Parcel]) -> None:
        messages = [message for each, _ in parcels for message in each]
        try:
            answers = await self._send(messages)
        except Exception as error:
            for _, future in parcels:
                if not future.done():
                    future.set_exception(error)
            return
        start = 0
        for each, future in parcels:
            if not future.done():
                future.set_result(answers[start : start + len(each)])
            start += len(each)

    async def _send(self, messages: Sequence[Message]) -> list[Enqueued]:
        if len(messages) <= _ROUND:
            return await self._send_round(messages)
        answers: list[Enqueued] = []
        for start in range(0, len(messages), _ROUND):
            answers += await self._send_round(messages[start : start + _ROUND])
        return answers

    async def _send_round(self, messages: Sequence[Message]) -> list[Enqueued]:
        calls: list[Call | Plain] = []
        groups: list[list[int]] = []
        for queue, indexes in _by_queue(messages).items():
            for call, group in self._calls(queue, messages, indexes):
                calls.append(call)
                groups.append(group)
        new = self._unannounced(messages)
        replies = await self._server.run(Role.COMMAND, [*calls, *(_announcement(queue) for queue in new)])
        now = asyncio.get_running_loop().time()
        self._announced.update(dict.fromkeys(new, now))
        answers: dict[int, Enqueued] = {}
        begun: set[str] = set()
        for group, reply in zip(groups, replies, strict=False):
            if reply and len(reply) > len(group):
                begun.add(messages[group[0]].queue)
            for index, answer in zip(group, reply or [b""] * len(group), strict=False):
                answers[index] = _answer(messages[index], answer)
        # A server that has lost a queue has lost the directory too.
        if lost := begun.difference(new):
            await self._server.run(Role.COMMAND, [_announcement(queue) for queue in lost])
        return [answers[index] for index in range(len(messages))]

    def _calls(
        self, queue: str, messages: Sequence[Message], indexes: Sequence[int]
    ) -> list[tuple[Call, list[int]]]:
        """Calls with so much in each that none is too large."""
        calls: list[tuple[Call, list[int]]] = []
        keys = (queue_prefix(queue),)
        args: list[Any] = []
        group: list[int] = []
        size = 0
        for index in indexes:
            if not group or len(group) == AT_ONCE or size > _CALL_BYTES:
                args, group, size = [self._limit], [], 0
                calls.append((Call(ENQUEUE, keys, args), group))
            message = messages[index]
            packed = pack_message(message)
            size += len(packed)
            group.append(index)
            args += _arguments(message, packed)
        return calls

    def _unannounced(self, messages: Sequence[Message]) -> list[str]:
        """Queues to be entered in the directory, in case that it was lost."""
        horizon = asyncio.get_running_loop().time() - _ANNOUNCE_EVERY
        queues = {message.queue for message in messages}
        return [queue for queue in queues if self._announced.get(queue, -math.inf) < horizon]

    async def close(self) -> None:
        """Let what is under way end."""
        if self._draining is not None:
            await asyncio.gather(self._draining, return_exceptions=True)


def _announcement(queue: str) -> Plain:
    return Plain(("SADD", QUEUES, queue), QUEUES)


def _by_queue(messages: Sequence[Message]) -> dict[str, list[int]]:
    queues: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        queues.setdefault(message.queue, []).append(index)
    return queues


def _arguments(message: Message, packed: bytes) -> tuple[Any, ...]:
    due = ""
    if message.eta is not None:
        due = f"e{math.ceil(message.eta * 1_000_000)}"
    elif message.delay:
        due = f"d{math.ceil(message.delay * 1_000_000)}"
    tick = ("", "")
    if message.schedule is not None and message.fire_time is not None:
        tick = (message.schedule, repr(message.fire_time))
    base = (message.priority - _LOWEST) << _SPAN_BITS
    return message.id, message.lane, base, due, message.unique_key or "", *tick, packed


def _answer(message: Message, answer: bytes) -> Enqueued:
    if not answer:
        return Enqueued(Acceptance.ACCEPTED, message.id)
    if answer == b"F":
        return Enqueued(Acceptance.FULL, message.id)
    return Enqueued(Acceptance.DUPLICATE, answer[1:].decode())
