"""An application's broker and backend: made from its settings, opened on its loop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cached_property

from flowrra import discovery
from flowrra.clock import Clock
from flowrra.config import BackendConfig, BrokerConfig, Config
from flowrra.protocols import Backend, Broker, Settler
from flowrra.url import URL
from flowrra.worker.settling import TwoStepSettler

MEMORY = "memory://"


class Connections:
    """Broker, backend and the settler over both. Making it does no I/O."""

    def __init__(
        self, config: Config, clock: Clock, broker: Broker | None = None, backend: Backend | None = None
    ) -> None:
        self.broker_config: BrokerConfig = _broker_config(config)
        self.backend_config: BackendConfig = _backend_config(config, self.broker_config)
        self._clock = clock
        self._given_broker = broker
        self._given_backend = backend
        #: Whether both are connected.
        self.is_open: bool = False
        self._opening = asyncio.Lock()

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

    async def open(self) -> None:
        """Connect, unless connected."""
        if self.is_open:
            return
        async with self._opening:
            if not self.is_open:
                await self.broker.open()
                await self.backend.open()
                self.is_open = True

    async def close(self) -> None:
        """Let go, unless let go."""
        if self.is_open:
            self.is_open = False
            self._opening = asyncio.Lock()
            await self.backend.close()
            await self.broker.close()


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
