"""Result and settlement in one step, where broker and backend are one server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowrra.message import Settlement
from flowrra.redis.calls import Call
from flowrra.redis.ending import Batch, Ending
from flowrra.redis.keys import queue_prefix
from flowrra.redis.programs import SETTLE, SETTLE_AND_KEEP
from flowrra.redis.runs import Runs


class RedisSettler:
    """Stores records and settles deliveries by one script: both happen, or neither."""

    def __init__(self, ending: Ending, runs: Runs, database: int | None) -> None:
        self._ending = ending
        self._runs = runs
        #: The records' database; None if they are where the queues are.
        self._database: Final = "" if database is None else database

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Store and settle; False for each stale settlement, of which nothing is stored."""
        return await self._ending.settle_by(settlements, self._call)

    def _call(self, name: str, batch: Batch, settlements: Sequence[Settlement]) -> Call:
        ended = batch.arguments(settlements)
        records = [record for at in batch.positions if (record := settlements[at].record) is not None]
        keys = (queue_prefix(batch.queue),)
        if not records:
            return Call(SETTLE, keys, [name, *ended])
        return Call(SETTLE_AND_KEEP, keys, [name, *ended, self._database, *self._runs.arguments(records)])
