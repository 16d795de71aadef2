"""The Redis broker keeps every promise of the contract, on a server and on a cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest
from servers import RedisCluster

from flowrra.redis import RedisBroker
from flowrra.testing.broker import BrokerBench, BrokerConformance

#: Seconds of the shortest lease or delay.
UNIT = 0.15


def bench_at(url: str) -> BrokerBench:
    return BrokerBench(lambda config: RedisBroker(replace(config, url=url)), unit=UNIT)


class TestRedisBroker(BrokerConformance):
    @pytest.fixture
    def bench(self, redis_url: str) -> BrokerBench:
        return bench_at(redis_url)


class TestRedisBrokerOnACluster(BrokerConformance):
    @pytest.fixture
    def bench(self, redis_cluster: RedisCluster) -> BrokerBench:
        redis_cluster.flush()
        return bench_at(redis_cluster.url())
