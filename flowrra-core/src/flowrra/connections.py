"""An application's broker and backend: made from its settings, opened on its loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from functools import cached_property
from typing import Final, TypeVar

from flowrra import discovery
from flowrra.clock import Clock
from flowrra.config import BackendConfig, BrokerConfig, Config
from flowrra.exceptions import TaskNotFoundError, TaskTimeoutError, TransientError
from flowrra.protocols import Backend, Broker, Settler
from flowrra.reading import result_of_entry, result_of_record, result_of_unknown
from flowrra.result import TaskResult
from flowrra.url import URL
from flowrra.worker.settling import TwoStepSettler

MEMORY = "memory://"

B = TypeVar("B", Broker, Backend)

#: Seconds that connections wait until those before them are closed.
CLOSED_WITHIN: Final = 5.0
#: Seconds that a result may take before the broker is asked whether it knows the task at all.
ASK_AFTER: Final = 0.02


class Connections:
    """Broker, backend and the settler over both, for one loop: opened once and closed once.

    Making it does no I/O.
    """

    def __init__(
        self, config: Config, clock: Clock, broker: Broker | None = None, backend: Backend | None = None
    ) -> None:
        self.broker_config: BrokerConfig = _broker_config(config)
        self.backend_config: BackendConfig = _backend_config(config, self.broker_config)
        self._config = config
        self._clock = clock
        self._given_broker = broker
        self._given_backend = backend
        #: Whether both are connected.
        self.is_open: bool = False
        self._opening = asyncio.Lock()
        self._closed: Future[None] = Future()
        self._before: Future[None] | None = None

    @cached_property
    def broker(self) -> Broker:
        """The broker.

        Raises:
            UnknownSchemeError: Nothing installed serves its URL.
        """
        return self._given_broker or self.make_broker()

    @cached_property
    def backend(self) -> Backend:
        """The backend.

        Raises:
            UnknownSchemeError: Nothing installed serves its URL.
        """
        if self._given_backend is not None:
            return self._given_backend
        factory = discovery.backends.resolve(URL.parse(self.backend_config.url).scheme)
        return factory(self.backend_config, self._clock)

    @cached_property
    def settler(self) -> Settler:
        """What stores records and settles deliveries."""
        atomic = self.broker.settler(self.backend)
        return atomic or TwoStepSettler(self.broker, self.backend, self.broker_config.lease)

    @property
    def is_broker_given(self) -> bool:
        """Whether the broker is an object that the user made: there is no URL to make another from."""
        return self._given_broker is not None

    def make_broker(self) -> Broker:
        """Another broker for the same URL, for a loop of its own."""
        factory = discovery.brokers.resolve(URL.parse(self.broker_config.url).scheme)
        return factory(self.broker_config, self._clock)

    def renewed(self) -> Connections:
        """Others to the same place, for another loop. They connect when these are closed.

        An object that was given, or that keeps its data in this process, is the same in both.
        """
        broker = _lasting(vars(self).get("broker"), self._given_broker)
        backend = _lasting(vars(self).get("backend"), self._given_backend)
        others = Connections(self._config, self._clock, broker, backend)
        others._before = self._closed
        return others

    async def find(self, task_id: str) -> TaskResult | None:
        """What is known of a task: asks the backend, the broker, and the backend once more."""
        admin = self.broker.admin
        [record] = await self.backend.get([task_id])
        if record is None and admin is not None:
            [entry] = await admin.find([task_id])
            if entry is not None:
                return result_of_entry(entry)
            [record] = await self.backend.get([task_id])
        if record is not None:
            return result_of_record(record)
        return None if admin is not None else result_of_unknown(task_id)

    async def wait_for(self, task_id: str, timeout: float | None) -> TaskResult:
        """Wait for a task's final result.

        Raises:
            TaskNotFoundError: Nobody knows the id.
            TaskTimeoutError: *timeout* seconds went by.
        """
        if not self.backend.capabilities.in_process:
            return await self._wait_afar(task_id, timeout)
        found = await self.find(task_id)
        if found is None:
            raise TaskNotFoundError(task_id)
        if found.is_complete:
            return found
        record = await self.backend.wait(task_id, timeout)
        if record is None:
            raise _timed_out(found, timeout)
        return result_of_record(record)

    async def _wait_afar(self, task_id: str, timeout: float | None) -> TaskResult:
        """The same. The broker is asked about tasks that take long only: most waits are one round trip."""
        waiting = asyncio.ensure_future(self.backend.wait(task_id, timeout))
        try:
            await asyncio.wait({waiting}, timeout=ASK_AFTER)
            if not waiting.done():
                try:
                    found = await self._ask(task_id)
                except TransientError:
                    if not waiting.done():
                        raise
                else:
                    if found.is_complete:
                        return found
            if (record := await waiting) is not None:
                return result_of_record(record)
            raise _timed_out(await self._ask(task_id), timeout)
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def _ask(self, task_id: str) -> TaskResult:
        """What the broker knows of a task; for what it has no more, what the backend knows."""
        if self.broker.admin is None:
            return result_of_unknown(task_id)
        [entry] = await self.broker.admin.find([task_id])
        found = None if entry is None else result_of_entry(entry)
        if found is None or found.is_complete:
            [record] = await self.backend.get([task_id])
            found = found if record is None else result_of_record(record)
        if found is None:
            raise TaskNotFoundError(task_id)
        return found

    async def open(self) -> None:
        """Connect, unless connected.

        Raises:
            TransientError: These are closed; the application has others by now.
        """
        if self.is_open:
            return
        async with self._opening:
            await self._await_those_before()
            if self._closed.done():
                raise TransientError("the application was stopped or moved meanwhile; call again")
            if not self.is_open:
                await self._connect()
                self.is_open = True

    async def _await_those_before(self) -> None:
        if self._before is not None and not self._before.done():
            await asyncio.wait([asyncio.wrap_future(self._before)], timeout=CLOSED_WITHIN)
        self._before = None

    async def _connect(self) -> None:
        await self.broker.open()
        try:
            await self.backend.open()
        except BaseException:
            await self.broker.close()
            raise

    async def close(self) -> None:
        """Let go for good."""
        try:
            async with self._opening:
                await self._await_those_before()
                if self.is_open:
                    self.is_open = False
                    await self._disconnect()
        finally:
            if not self._closed.done():
                self._closed.set_result(None)

    async def _disconnect(self) -> None:
        try:
            await self.backend.close()
        finally:
            await self.broker.close()


def _lasting(made: B | None, given: B | None) -> B | None:
    """What *made* leaves to the connections after it, if anything."""
    return made if made is not None and made.capabilities.in_process else given


def _timed_out(found: TaskResult, timeout: float | None) -> TaskTimeoutError:
    name = f" ({found.task_name})" if found.task_name else ""
    return TaskTimeoutError(f"task {found.task_id}{name} has no result after {timeout:g} s")


def _broker_config(config: Config) -> BrokerConfig:
    broker = config.broker or BrokerConfig(url=MEMORY)
    if broker.max_queue_size is None and broker.url.startswith("memory:"):
        return replace(broker, max_queue_size=config.executor.max_queue_size)
    return broker


def _backend_config(config: Config, broker: BrokerConfig) -> BackendConfig:
    """The backend's settings; without any, results go where the broker is, if that can keep results."""
    if config.backend is not None:
        return config.backend
    if URL.parse(broker.url).scheme not in discovery.backends.names():
        return BackendConfig(url=MEMORY)
    return BackendConfig(
        url=broker.url,
        max_connections=broker.max_connections,
        socket_timeout=broker.socket_timeout,
        retry_on_timeout=broker.retry_on_timeout,
    )
