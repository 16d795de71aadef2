"""Broker and backend in this process's memory: what an application without URLs uses."""

from flowrra.memory.backend import MemoryBackend
from flowrra.memory.broker import MemoryBroker
from flowrra.protocols import BackendFactory, BrokerFactory

__all__ = ["MemoryBackend", "MemoryBroker", "backend", "broker"]

#: Serves ``memory://`` broker URLs.
broker: BrokerFactory = MemoryBroker

#: Serves ``memory://`` backend URLs.
backend: BackendFactory = MemoryBackend
