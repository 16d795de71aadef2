"""The memory backend: the reference implementation of the backend's contract, with all optional parts."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from flowrra.clock import Clock, SystemClock
from flowrra.config import BackendConfig
from flowrra.fork import drop_after_fork
from flowrra.memory.history import MemoryHistory
from flowrra.memory.signals import MemoryBoard, MemoryStream
from flowrra.message import Record
from flowrra.protocols import EventStream, RunHistory, WorkerBoard
from flowrra.reports import BackendCapabilities

#: How many records are kept unless ``BackendConfig.history_limit`` says otherwise.
HISTORY_LIMIT: Final = 10_000

_CAPABILITIES: Final = BackendCapabilities(in_process=True)


class MemoryBackend:
    """Keeps the newest records in this process's memory: 10,000 unless ``history_limit`` says otherwise.

    A forked child starts empty.
    """

    def __init__(self, config: BackendConfig | None = None, clock: Clock | None = None) -> None:
        limit = config.history_limit if config else None
        self._limit: int = HISTORY_LIMIT if limit is None else limit
        self._ttl: float | None = config.ttl if config else None
        self._clock: Clock = clock or SystemClock()
        self.reset()
        drop_after_fork(self)

    def reset(self) -> None:
        """Forget everything; a forked child does so."""
        #: By id, oldest first.
        self._records: dict[str, Record] = {}
        self._waiters: defaultdict[str, list[asyncio.Future[Record]]] = defaultdict(list)
        self._history: MemoryHistory = MemoryHistory(self._records, self._prune)
        self._stream: MemoryStream = MemoryStream()
        self._board: MemoryBoard = MemoryBoard(self._clock)

    @property
    def capabilities(self) -> BackendCapabilities:
        """This process only."""
        return _CAPABILITIES

    @property
    def history(self) -> RunHistory | None:
        """All records that are kept."""
        return self._history

    @property
    def stream(self) -> EventStream | None:
        """Events within this process."""
        return self._stream

    @property
    def board(self) -> WorkerBoard | None:
        """Workers of this process."""
        return self._board

    @property
    def diagnostics(self) -> None:
        """There is no server."""

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """The records stay."""

    async def store(self, records: Sequence[Record]) -> list[bool]:
        """Keep records, unless a newer one is there."""
        return [self.keep(record) for record in records]

    def keep(self, record: Record) -> bool:
        """Keep one record and wake who waits for it; False if a newer one is there."""
        task_id = record.message.id
        records = self._records
        earlier = records.pop(task_id, None)
        if earlier is not None and earlier.fence > record.fence:
            records[task_id] = earlier
            return False
        records[task_id] = record
        if len(records) > self._limit:
            del records[next(iter(records))]
        if self._waiters:
            self._tell(task_id, record)
        return True

    def _tell(self, task_id: str, record: Record) -> None:
        """Wake whoever waits, on the loops on which they wait."""
        here = asyncio.get_running_loop()
        for waiter in self._waiters.pop(task_id, ()):
            loop = waiter.get_loop()
            if loop is here:
                _hand(waiter, record)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_hand, waiter, record)

    def _prune(self) -> None:
        """Drop what has outlived its time."""
        if self._ttl is None:
            return
        horizon = self._clock.time() - self._ttl
        while self._records:
            oldest = next(iter(self._records.values()))
            if oldest.finished_at > horizon:
                return
            del self._records[oldest.message.id]

    async def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The record of each id, or None."""
        self._prune()
        return [self._records.get(task_id) for task_id in ids]

    async def wait(self, task_id: str, timeout: float | None) -> Record | None:
        """Suspend until the record is there, at most *timeout* seconds."""
        self._prune()
        record = self._records.get(task_id)
        if record is not None:
            return record
        waiter: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiters[task_id].append(waiter)
        timer = None if timeout is None else self._clock.call_later(timeout, waiter.cancel)
        try:
            return await waiter
        except asyncio.CancelledError:
            if timer is not None and waiter.cancelled() and not _being_cancelled():
                return None
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(task_id, waiter)

    def _leave(self, task_id: str, waiter: asyncio.Future[Record]) -> None:
        waiters = self._waiters.get(task_id)
        if waiters and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[task_id]


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _hand(waiter: asyncio.Future[Record], record: Record) -> None:
    if not waiter.done():
        waiter.set_result(record)
