"""What an operator may ask of queues on Redis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

from flowrra.exceptions import ConfigError
from flowrra.message import Delivery, Entry, Place, QueueCounts
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.keys import QUEUES, queue_prefix
from flowrra.redis.programs import AT_ONCE, CANCEL, COUNTS, FIND, PEEK, PURGE, REQUEUE, RESUME
from flowrra.redis.reading import microseconds, read_deliveries, read_entry, seconds
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server
from flowrra.reports import Cancellation, EntryPage

#: Who holds the tasks that are cancelled while they wait.
_CANCELLER: Final = "cancel"

_SETS: Final = {Place.READY: "ready", Place.DELAYED: "delayed", Place.LEASED: "leases", Place.DEAD: "dead"}


class RedisAdmin:
    """Looks into queues, and steers them."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def _queues(self) -> list[str]:
        """Every queue that was ever used."""
        [names] = await self._server.run(Role.COMMAND, [Plain(("SMEMBERS", QUEUES), QUEUES)])
        return sorted(name.decode() for name in names)

    async def _ask_all(
        self, script: Script, ids: Sequence[str], *first: str | int
    ) -> list[tuple[str, Sequence[str], Any]]:
        """Ask every queue about *ids*, in one round trip once the queues are known: queue, ids and answer."""
        queues = await self._queues()
        parts = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
        asked = [(queue, part) for queue in queues for part in parts]
        calls = [Call(script, (queue_prefix(queue),), [*first, *part]) for queue, part in asked]
        replies = await self._server.run(Role.COMMAND, calls)
        return [(queue, part, reply) for (queue, part), reply in zip(asked, replies, strict=True)]

    async def find(self, ids: Sequence[str]) -> list[Entry | None]:
        """The entry of each id, or None."""
        entries = {
            entry.message.id: entry
            for queue, _, found in await self._ask_all(FIND, ids)
            for entry in (read_entry(values, queue) for values in found)
        }
        return [entries.get(task_id) for task_id in ids]

    async def cancel(self, ids: Sequence[str], lease: float) -> list[Cancellation]:
        """Claim what waits, mark what runs."""
        answers: dict[str, Cancellation] = {}
        for queue, _, (now, marked, handed) in await self._ask_all(
            CANCEL, ids, microseconds(lease), _CANCELLER
        ):
            answers |= {task_id.decode(): Cancellation(running=True) for task_id in marked}
            deliveries: list[Delivery] = read_deliveries(handed, [queue], seconds(now)).deliveries
            answers |= {each.message.id: Cancellation(delivery=each) for each in deliveries}
        return [answers.get(task_id, Cancellation()) for task_id in ids]

    async def counts(self, queues: Sequence[str] | None = None) -> list[QueueCounts]:
        """Count every place of each queue."""
        names = await self._queues() if queues is None else queues
        replies = await self._server.run(
            Role.COMMAND, [Call(COUNTS, (queue_prefix(name),)) for name in names]
        )
        counted = [_counts(name, reply) for name, reply in zip(names, replies, strict=True)]
        return [each for each in counted if queues is not None or each != QueueCounts(each.queue)]

    async def peek(self, queue: str, place: Place, limit: int, cursor: str | None = None) -> EntryPage:
        """A page of one place of one queue. The cursor is score and id of the last entry before it."""
        behind = _read_cursor(cursor)
        prefix = (queue_prefix(queue),)
        [pages] = await self._server.run(Role.COMMAND, [Call(PEEK, prefix, [_SETS[place], limit, *behind])])
        lines = sorted(chain.from_iterable(map(_pairs, pages)), reverse=place is Place.DEAD)
        ids = [task_id.decode() for _, task_id in lines[:limit]]
        entries = await self._entries(queue, ids)
        if len(lines) <= limit:
            return EntryPage(entries)
        score, last = lines[limit - 1]
        return EntryPage(entries, f"{score}/{last.decode()}")

    async def _entries(self, queue: str, ids: Sequence[str]) -> list[Entry]:
        """The entries of tasks of one queue that are still there."""
        parts = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
        calls = [Call(FIND, (queue_prefix(queue),), part) for part in parts]
        replies = await self._server.run(Role.COMMAND, calls)
        return [read_entry(values, queue) for found in replies for values in found]

    async def pause(self, queue: str) -> None:
        """Stop claims from *queue*."""
        key = queue_prefix(queue) + "paused"
        await self._server.run(
            Role.COMMAND, [Plain(("SET", key, "1"), key), Plain(("SADD", QUEUES, queue), QUEUES)]
        )

    async def resume(self, queue: str) -> None:
        """Allow claims from *queue*."""
        await self._server.run(Role.COMMAND, [Call(RESUME, (queue_prefix(queue),))])

    async def purge(self, queue: str, places: Sequence[Place]) -> int:
        """Delete what waits or is dead in *queue*, some hundred at a time."""
        sets = [_SETS[place] for place in places if place is not Place.LEASED]
        call = Call(PURGE, (queue_prefix(queue),), [AT_ONCE, *sets])
        total = 0
        while sets:
            [gone] = await self._server.run(Role.COMMAND, [call])
            total += gone
            if gone < AT_ONCE:
                break
        return total

    async def requeue(self, ids: Sequence[str]) -> list[bool]:
        """Make dead tasks ready."""
        revived: set[str] = set()
        for _, part, digits in await self._ask_all(REQUEUE, ids):
            revived |= {task_id for task_id, digit in zip(part, digits, strict=True) if digit == ord("1")}
        return [task_id in revived for task_id in ids]


def _counts(queue: str, reply: Sequence[Any]) -> QueueCounts:
    ready, delayed, leased, dead, paused, oldest = reply
    return QueueCounts(
        queue, ready, delayed, leased, dead, bool(paused), max(0.0, seconds(oldest)) if oldest else None
    )


def _pairs(page: Sequence[bytes]) -> Iterable[tuple[int, bytes]]:
    """Score and id of each entry of a page."""
    return ((int(page[at + 1]), page[at]) for at in range(0, len(page), 2))


def _read_cursor(cursor: str | None) -> tuple[str, str]:
    """Score and id that a cursor names; empty at the beginning.

    Raises:
        ConfigError: It is none of ours.
    """
    if cursor is None:
        return "", ""
    score, slash, last = cursor.partition("/")
    if not slash or not score.isdecimal():
        raise ConfigError(f"{cursor!r} is no cursor of a page of tasks; pass on the one of the page before")
    return score, last
