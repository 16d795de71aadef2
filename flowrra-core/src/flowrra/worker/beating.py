"""A worker's signs of life on the board."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

from flowrra.clock import Clock, sleep
from flowrra.exceptions import FlowrraError
from flowrra.protocols import Executor, WorkerBoard
from flowrra.reports import WorkerBeat
from flowrra.worker.backoff import Backoff
from flowrra.worker.worker import Worker

#: Seconds between two signs, and for how long one counts.
EVERY: Final = 5.0
LASTS: Final = 15.0


class Beating:
    """Shows a worker on the board until it ends."""

    def __init__(
        self, worker: Worker, executors: Mapping[str, Executor], board: WorkerBoard, clock: Clock
    ) -> None:
        self._worker = worker
        self._executors = executors
        self._board = board
        self._clock = clock
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Leave the board."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with contextlib.suppress(FlowrraError):  # whoever doesn't leave counts as lost, then is gone
            await self._board.leave(self._worker.name)

    async def _run(self) -> None:
        backoff = Backoff(self._clock)
        while True:
            try:
                await self._board.beat(self._beat(), LASTS)
                backoff.reset()
            except Exception as error:
                await backoff.after(error, "can't show this worker on the board")
            await sleep(self._clock, EVERY)

    def _beat(self) -> WorkerBeat:
        worker = self._worker
        return WorkerBeat(
            name=worker.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=worker.started_at,
            beat_at=self._clock.time(),
            queues=tuple(worker.queues),
            slots={kind: executor.slots for kind, executor in self._executors.items()},
            running=tuple(worker.running),
            executed=worker.executed,
        )
