"""An application cut off from its servers for the length of a test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from flowrra.app import Flowrra
from flowrra.clock import Clock
from flowrra.config import BackendConfig, BrokerConfig, Config
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.message import Record
from flowrra.testing.clock import FakeClock

MEMORY = "memory://"


class ListedBackend(MemoryBackend):
    """A memory backend that lists the records in the order in which they were stored."""

    def reset(self) -> None:
        """Forget everything."""
        super().reset()
        #: Every record that was accepted.
        self.stored: list[Record] = []

    def keep(self, record: Record) -> bool:
        """Keep and list one record."""
        kept = super().keep(record)
        if kept:
            self.stored.append(record)
        return kept


@contextmanager
def isolated(app: Flowrra, clock: Clock | None = None) -> Generator[Flowrra, None, None]:
    """Give *app* queues and results in memory, on *clock* (a new :class:`FakeClock` if None).

    It stays the same object with the same tasks, so code that imported it needs no change::

        @pytest.fixture
        def flowrra_app(flowrra_clock):
            with isolated(myproject.tasks.app, flowrra_clock) as app:
                yield app

    A full queue refuses at once, since the clock stands still. Afterwards *app* is as it was,
    connections included.
    """
    before = dict(vars(app))
    config = _in_memory(app.config)
    clock = clock or FakeClock()
    app.rewire(config, MemoryBroker(_bounded(config), clock), ListedBackend(config.backend, clock), clock)
    try:
        yield app
    finally:
        vars(app).clear()
        vars(app).update(before)


def _in_memory(config: Config) -> Config:
    broker = config.broker or BrokerConfig(url=MEMORY)
    backend = config.backend or BackendConfig(url=MEMORY)
    return replace(
        config,
        broker=replace(broker, url=MEMORY, submit_timeout=0.0),
        backend=replace(backend, url=MEMORY),
    )


def _bounded(config: Config) -> BrokerConfig | None:
    broker = config.broker
    if broker is None or broker.max_queue_size is not None:
        return broker
    return replace(broker, max_queue_size=config.executor.max_queue_size)
