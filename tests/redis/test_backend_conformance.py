"""The Redis backend keeps the promises of its contract, on one server and on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flowrra.config import BackendConfig
from flowrra.redis.backend import RedisBackend
from flowrra.testing import BackendBench, BackendConformance

#: Seconds of the shortest wait: longer than any round trip takes on a busy machine.
UNIT = 0.15


def bench_at(url: str) -> BackendBench:
    make: Callable[[BackendConfig], RedisBackend] = lambda config: RedisBackend(replace(config, url=url))  # noqa: E731
    return BackendBench(make, unit=UNIT)


class TestRedisBackend(BackendConformance):
    @pytest.fixture
    def bench(self, redis_url: str) -> BackendBench:
        return bench_at(redis_url)


class TestRedisBackendInACluster(BackendConformance):
    @pytest.fixture
    def bench(self, cluster_url: str) -> BackendBench:
        return bench_at(cluster_url)
