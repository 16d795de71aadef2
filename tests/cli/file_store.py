"""A broker and a backend that processes share: the memory ones, kept in a file between two calls.

What stands in the file ``NAME.fault`` happens to every call: ``down``, ``refused`` or ``silent``. What stands
in ``NAME.broker`` and ``NAME.backend`` is found by who diagnoses them.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowrra.exceptions import PermanentError, TransientError
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.protocols import BackendFactory, BrokerFactory
from flowrra.reports import BackendCapabilities, BrokerCapabilities, Finding
from flowrra.url import URL

POLL = 0.02


class Store:
    """One file with one object's state; every call reads it, changes it and writes it, under a lock."""

    def __init__(self, path: Path, restore: Callable[[Any], Any], state: Callable[[Any], Any]) -> None:
        self.path = path
        self.restore = restore
        self.state = state

    async def open(self) -> None:
        fault = self.path.with_suffix(".fault")
        match fault.read_text() if fault.exists() else "":
            case "down":
                raise TransientError(f"the server at {self.path.name} is away")
            case "refused":
                raise PermanentError(f"the server at {self.path.name} refuses the login")
            case "silent":
                await asyncio.sleep(3600)

    async def call(self, name: str, *arguments: Any) -> Any:
        await self.open()
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


class Diagnosis:
    """Finds what a file says."""

    def __init__(self, file: Path) -> None:
        self.file = file

    async def findings(self) -> list[Finding]:
        return [Finding(**each) for each in json.loads(self.file.read_text())]


def diagnosis(file: Path) -> Diagnosis | None:
    return Diagnosis(file) if file.exists() else None


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
        self.diagnostics = diagnosis(path.with_suffix(".broker"))
        self.open = store.open

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
        self.diagnostics = diagnosis(path.with_suffix(".backend"))
        self.open = store.open

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
