"""A broker and a backend that many connections share, as a server would be: in memory, behind a lock."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from flowrra.config import BackendConfig, BrokerConfig
from flowrra.exceptions import TransientError
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.message import Claim, Enqueued, Holding, Message, Record, Renewal, Settlement
from flowrra.protocols import Backend, EventStream, QueueAdmin, RunHistory, Settler, WorkerBoard
from flowrra.reports import BackendCapabilities, BrokerCapabilities

#: What each server has: the queue, its lock and what its network does.
servers: dict[str, Server] = {}
_numbers = itertools.count(1)


class Server:
    """One queue, the records, and the faults that connections meet."""

    def __init__(self, url: str) -> None:
        self.queue = MemoryBroker(BrokerConfig(url=url))
        self.records = MemoryBackend()
        self.lock = threading.Lock()
        #: How many more calls of each name fail.
        self.failing: dict[str, int] = {}
        #: How many more calls of each name are obeyed, but their answer is lost.
        self.losing: dict[str, int] = {}
        #: Seconds that the answers to calls of each name are on their way.
        self.slow: dict[str, float] = {}
        #: Seconds that every call takes on its way.
        self.latency = 0.0
        #: How often each name was called, and from which threads.
        self.calls: dict[str, list[str]] = {}
        self.connections = 0


def new_url() -> str:
    """A URL of a server of its own."""
    return f"shared://server-{next(_numbers)}"


class _Connection:
    """A connection to a server. Like a real one, it serves only the loop that opened it."""

    def __init__(self, url: str) -> None:
        self.server = servers.setdefault(url, Server(url))
        self.loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        await asyncio.sleep(self.server.latency)
        self._fail(self.server.failing, f"{type(self).__name__}.open")
        assert self.loop is None, "opened twice"
        self.loop = asyncio.get_running_loop()
        with self.server.lock:
            self.server.connections += 1

    async def close(self) -> None:
        if self.loop is not None:
            self.loop = None
            with self.server.lock:
                self.server.connections -= 1

    def check(self) -> None:
        if self.loop is not asyncio.get_running_loop():
            raise TransientError("no connection on this loop to the server at shared://user:hunter2@host")

    async def call(self, part: Any, name: str, *args: Any) -> Any:
        """Call under the lock: nothing in *part* suspends, so the lock is held for moments."""
        server = self.server
        server.calls.setdefault(name, []).append(threading.current_thread().name)
        self.check()
        if server.latency:
            await asyncio.sleep(server.latency)
        self._fail(server.failing, name)
        with server.lock:
            answer = await getattr(part, name)(*args)
        self._fail(server.losing, name)
        await asyncio.sleep(server.slow.get(name, 0.0))
        return answer

    def _fail(self, faults: dict[str, int], name: str) -> None:
        if faults.get(name, 0) > 0:
            faults[name] -= 1
            raise TransientError(f"{name}: the server at shared://user:hunter2@host went away")


class SharedBroker(_Connection):
    """A connection to a server's queue."""

    def __init__(self, config: BrokerConfig, clock: object = None) -> None:
        super().__init__(config.url)

    @property
    def capabilities(self) -> BrokerCapabilities:
        return BrokerCapabilities(priority=True, unique_keys=True)

    @property
    def admin(self) -> QueueAdmin | None:
        return _Part(self, self.server.queue.admin)  # type: ignore[return-value]

    @property
    def diagnostics(self) -> None:
        return None

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        return await self.call(self.server.queue, "enqueue", messages, 0.0)

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        return await self.call(self.server.queue, "claim", queues, room, lease, worker)

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.01))

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        return await self.call(self.server.queue, "renew", renewals, lease)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return await self.call(self.server.queue, "settle", settlements)

    def settler(self, backend: Backend) -> Settler | None:
        return None


class SharedBackend(_Connection):
    """A connection to a server's records."""

    def __init__(self, config: BackendConfig, clock: object = None) -> None:
        super().__init__(config.url)

    @property
    def capabilities(self) -> BackendCapabilities:
        return BackendCapabilities(durable=True)

    @property
    def history(self) -> RunHistory | None:
        return _Part(self, self.server.records.history)  # type: ignore[return-value]

    @property
    def stream(self) -> EventStream | None:
        return None

    @property
    def board(self) -> WorkerBoard | None:
        return None

    @property
    def diagnostics(self) -> None:
        return None

    async def store(self, records: Sequence[Record]) -> list[bool]:
        return await self.call(self.server.records, "store", records)

    async def get(self, ids: Sequence[str]) -> list[Record | None]:
        return await self.call(self.server.records, "get", ids)

    async def wait(self, task_id: str, timeout: float | None) -> Record | None:
        """Look again and again. Whoever waits when the connection is closed gets an error."""
        self.server.calls.setdefault("wait", []).append(threading.current_thread().name)
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            self.check()
            await asyncio.sleep(self.server.latency)
            with self.server.lock:
                [record] = await self.server.records.get([task_id])
            if record is not None or (end is not None and loop.time() >= end):
                return record
            await asyncio.sleep(0.002)


class _Part:
    """An optional part, whose calls go through its owner's connection."""

    def __init__(self, owner: _Connection, part: Any) -> None:
        self._owner = owner
        self._part = part

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            return await self._owner.call(self._part, name, *args)

        return call
