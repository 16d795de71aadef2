"""A broker and a backend that processes share: the memory ones, kept in a file between two calls."""

from __future__ import annotations

import asyncio
import fcntl
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.protocols import BackendFactory, BrokerFactory
from flowrra.reports import BackendCapabilities, BrokerCapabilities
from flowrra.url import URL

POLL = 0.02


class Store:
    """One file with one object's state; every call reads it, changes it and writes it, under a lock."""

    def __init__(self, path: Path, restore: Callable[[Any], Any], state: Callable[[Any], Any]) -> None:
        self.path = path
        self.restore = restore
        self.state = state

    async def call(self, name: str, *arguments: Any) -> Any:
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            data = file.read()
            owner = self.restore(pickle.loads(data) if data else None)
            target = owner
            *path, method = name.split(".")
            for part in path:
                target = getattr(target, part)
            answer = await getattr(target, method)(*arguments)
            file.truncate(0)
            file.write(pickle.dumps(self.state(owner)))
            file.flush()
        return answer


class Part:
    """Every method of one part, as a call of the store."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self._store.call(self._prefix + name, *arguments)


def restore_broker(table: Any) -> MemoryBroker:
    broker = MemoryBroker()
    if table is not None:
        broker._table = broker._admin._table = table
    return broker


def restore_backend(state: Any) -> MemoryBackend:
    backend = MemoryBackend()
    if state is not None:
        backend._records.update(state[0])
        backend._board._beats.update(state[1])
    return backend


class FileBroker(Part):
    def __init__(self, config: Any, clock: Any) -> None:
        path = Path(URL.parse(config.url).path)
        store = Store(path.with_suffix(".queue"), restore_broker, lambda broker: broker._table)
        super().__init__(store, "")
        self.capabilities = BrokerCapabilities(durable=True, priority=True, unique_keys=True)
        self.admin = Part(store, "admin.")

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def settler(self, backend: Any) -> None: ...

    async def wait(self, queues: Any, lanes: Any, timeout: float) -> None:
        await asyncio.sleep(POLL)


class FileBackend(Part):
    def __init__(self, config: Any, clock: Any) -> None:
        path = Path(URL.parse(config.url).path)
        state: Callable[[Any], Any] = lambda backend: (backend._records, backend._board._beats)  # noqa: E731
        store = Store(path.with_suffix(".results"), restore_backend, state)
        super().__init__(store, "")
        self.capabilities = BackendCapabilities(durable=True)
        self.history = Part(store, "history.")
        self.board = Part(store, "board.")
        self.stream = None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def wait(self, task_id: str, timeout: float | None) -> Any:
        end = None if timeout is None else asyncio.get_running_loop().time() + timeout
        while True:
            [record] = await self.get([task_id])
            if record is not None or (end is not None and asyncio.get_running_loop().time() > end):
                return record
            await asyncio.sleep(POLL)


broker: BrokerFactory = FileBroker
backend: BackendFactory = FileBackend
