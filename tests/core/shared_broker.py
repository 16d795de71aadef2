"""A broker that several connections share, as a server would be: one queue in memory, behind a lock."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from flowrra.config import BrokerConfig
from flowrra.exceptions import TransientError
from flowrra.memory import MemoryBroker
from flowrra.message import Claim, Enqueued, Holding, Message, Renewal, Settlement
from flowrra.protocols import Backend, QueueAdmin, Settler
from flowrra.reports import BrokerCapabilities

#: What each server has: the queue, its lock and what its network does.
servers: dict[str, Server] = {}
_numbers = itertools.count(1)


class Server:
    """One queue, and the faults that its connections meet."""

    def __init__(self, config: BrokerConfig) -> None:
        self.queue = MemoryBroker(config)
        self.lock = threading.Lock()
        #: How many more calls of each name fail.
        self.failing: dict[str, int] = {}
        #: How often each name was called, and from which threads.
        self.calls: dict[str, list[str]] = {}
        self.connections = 0


def new_url() -> str:
    """A URL of a server of its own."""
    return f"shared://server-{next(_numbers)}"


class SharedBroker:
    """A connection to a server."""

    def __init__(self, config: BrokerConfig, clock: object = None) -> None:
        self.server = servers.setdefault(config.url, Server(config))

    @property
    def capabilities(self) -> BrokerCapabilities:
        return BrokerCapabilities(priority=True, unique_keys=True)

    @property
    def admin(self) -> QueueAdmin | None:
        return _Admin(self.server)  # type: ignore[return-value]

    async def open(self) -> None:
        self.server.connections += 1

    async def close(self) -> None:
        self.server.connections -= 1

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        return await _call(self.server, "enqueue", messages, 0.0)

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        return await _call(self.server, "claim", queues, room, lease, worker)

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.01))

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        return await _call(self.server, "renew", renewals, lease)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        return await _call(self.server, "settle", settlements)

    def settler(self, backend: Backend) -> Settler | None:
        return None


class _Admin:
    def __init__(self, server: Server) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._server.lock:
                return await getattr(self._server.queue.admin, name)(*args, **kwargs)

        return call


async def _call(server: Server, name: str, *args: Any) -> Any:
    """Call the queue under the lock: nothing in it suspends, so the lock is held for moments."""
    server.calls.setdefault(name, []).append(threading.current_thread().name)
    if server.failing.get(name, 0) > 0:
        server.failing[name] -= 1
        raise TransientError(f"{name}: the server at shared://user:hunter2@host went away")
    with server.lock:
        return await getattr(server.queue, name)(*args)
