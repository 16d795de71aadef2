"""The way of outcomes: collected while the loop turns, stored and settled in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from flowrra.clock import Clock
from flowrra.message import Holding, Receipt, Renewal, Settlement
from flowrra.protocols import Backend, Broker, Settler
from flowrra.worker.backoff import Backoff

logger: logging.Logger = logging.getLogger("flowrra.worker")

#: The most settlements in one batch.
BATCH: Final = 500


class TwoStepSettler:
    """For a broker and a backend that don't share a server: check the fence, store, then settle.

    A task is never settled before its record is stored. A crash between the two repeats the
    task, and the newer record replaces the older. A batch whose answer was lost is to be settled
    once more: what is gone by then was settled by the first try.
    """

    def __init__(self, broker: Broker, backend: Backend, lease: float) -> None:
        self._broker = broker
        self._backend = backend
        self._lease = lease
        #: What the broker was told to settle, without an answer.
        self._unanswered: set[Receipt] = set()

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Store and settle; three round trips per batch, one where there is nothing to store."""
        current = settlements
        if any(settlement.record for settlement in settlements):
            current = await self._current(settlements)
            if records := [settlement.record for settlement in current if settlement.record]:
                await self._backend.store(records)
        earlier = self._unanswered.intersection(settlement.receipt for settlement in settlements)
        receipts = [settlement.receipt for settlement in current]
        self._unanswered.update(receipts)
        answers = await self._broker.settle(current) if current else []
        self._unanswered.difference_update(receipts, earlier)
        accepted = earlier.union(receipt for receipt, ok in zip(receipts, answers, strict=True) if ok)
        return [settlement.receipt in accepted for settlement in settlements]

    async def _current(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        """Those whose task nobody else has claimed; they are held for another lease."""
        renewals = [Renewal(settlement.receipt) for settlement in settlements]
        held = await self._broker.renew(renewals, self._lease)
        pairs = zip(settlements, held, strict=True)
        return [settlement for settlement, holding in pairs if holding is not Holding.LOST]


class Settling:
    """Settles what is added, batch after batch; a failing broker is tried again until it answers."""

    def __init__(
        self,
        settler: Settler,
        clock: Clock,
        settled: Callable[[Sequence[Settlement], Sequence[bool]], Awaitable[None]],
    ) -> None:
        self._settler = settler
        self._settled = settled
        self._backoff = Backoff(clock)
        self._pending: list[Settlement] = []
        self._in_flight = 0
        self._added = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def backlog(self) -> int:
        """Settlements that are not settled yet."""
        return len(self._pending) + self._in_flight

    def add(self, settlement: Settlement) -> None:
        """Settle soon."""
        if not self._pending:
            self._added.set()
            self._emptied.clear()
        self._pending.append(settlement)

    async def drain(self) -> None:
        """Suspend until everything that was added is settled."""
        await self._emptied.wait()

    async def run(self) -> None:
        """Settle for ever."""
        while True:
            await self._added.wait()
            batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
            if not self._pending:
                self._added.clear()
            self._in_flight = len(batch)
            await self._settle(batch)
            self._in_flight = 0
            if not self._pending:
                self._emptied.set()

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        while True:
            try:
                answers = await self._settler.settle(batch)
            except Exception as error:
                await self._backoff.after(error, "can't settle finished tasks")
                continue
            self._backoff.reset()
            return await self._tell(batch, answers)

    async def _tell(self, batch: Sequence[Settlement], answers: Sequence[bool]) -> None:
        try:
            await self._settled(batch, answers)
        except Exception:
            logger.exception("%d settled tasks could not be announced", len(batch))
