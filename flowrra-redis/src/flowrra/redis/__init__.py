"""Flowrra's broker and backend on Redis: what takes an application from one process to many machines."""

from __future__ import annotations

from flowrra.protocols import BackendFactory, BrokerFactory
from flowrra.redis.backend import RedisBackend
from flowrra.redis.broker import RedisBroker

__all__ = ["RedisBackend", "RedisBroker", "backend", "broker"]

#: What serves ``redis://``, ``rediss://`` and ``unix://`` URLs of brokers.
broker: BrokerFactory = RedisBroker

#: What serves ``redis://``, ``rediss://`` and ``unix://`` URLs of backends.
backend: BackendFactory = RedisBackend
