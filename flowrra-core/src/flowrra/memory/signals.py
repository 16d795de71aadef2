"""Events and workers' signs of life within one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from flowrra.clock import Clock
from flowrra.reports import Event, WorkerBeat

#: Events that a slow listener may fall behind; then it loses the oldest.
BACKLOG: Final = 1_000

#: Seconds after which a lost worker leaves the board.
LOST_FOR: Final = 3600.0


class MemoryStream:
    """Hands every event to every listener, each with a bounded queue of its own."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[Event], Collection[str] | None] = {}

    @property
    def watched(self) -> bool:
        """Whether anybody listens to what happens."""
        return any(kinds != {"cancel"} for kinds in self._listeners.values())

    async def publish(self, events: Sequence[Event]) -> None:
        """Queue events for each listener; full queues lose their oldest."""
        for listener, kinds in self._listeners.items():
            for event in events:
                if kinds is not None and event.kind not in kinds:
                    continue
                if listener.full():
                    listener.get_nowait()
                listener.put_nowait(event)

    async def events(self, kinds: Collection[str] | None = None) -> AsyncIterator[Event]:
        """Events from the first step of the iteration on."""
        listener: asyncio.Queue[Event] = asyncio.Queue(BACKLOG)
        self._listeners[listener] = kinds
        try:
            while True:
                yield await listener.get()
        finally:
            del self._listeners[listener]


class MemoryBoard:
    """Remembers the newest beat of each worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[str, tuple[float, WorkerBeat]] = {}

    async def beat(self, worker: WorkerBeat, ttl: float) -> None:
        """Show *worker* as alive."""
        self._beats[worker.name] = (self._clock.time() + ttl + LOST_FOR, worker)

    async def leave(self, name: str) -> None:
        """Take a worker off the board."""
        self._beats.pop(name, None)

    async def workers(self) -> list[WorkerBeat]:
        """Everyone, by name."""
        now = self._clock.time()
        self._beats = {name: kept for name, kept in self._beats.items() if kept[0] > now}
        return [worker for _, worker in sorted(self._beats.values(), key=lambda kept: kept[1].name)]
