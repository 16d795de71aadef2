"""The Redis broker does what a model of a broker does, step by step, under a clock that the test sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from flowrra.redis import RedisBroker
from flowrra.redis.scripts import replace_clock
from flowrra.testing import BrokerBench, BrokerModel

KEY = "test:clock"


class SetTime:
    """A server's clock that stands still unless it is moved."""

    def __init__(self, url: str) -> None:
        self.server = redis.Redis.from_url(url)
        self.server.flushall()
        self.microseconds = 1_700_000_000_000_000
        self.server.set(KEY, self.microseconds)

    def time(self) -> float:
        return self.microseconds / 1_000_000

    async def advance(self, seconds: float) -> None:
        self.microseconds += round(seconds * 1_000_000)
        self.server.set(KEY, self.microseconds)


@pytest.fixture
def set_clock() -> Iterator[None]:
    """Scripts take the time from a key."""
    replace_clock(f"local function now() return tonumber(redis.call('GET', '{KEY}')) end")
    yield
    replace_clock(None)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("set_clock")
def test_the_redis_broker_behaves_like_its_model(redis_url: str, soaked: Callable[[int], int]) -> None:
    class Machine(BrokerModel):
        bounds_each_queue = True

        def bench(self) -> BrokerBench:
            self.set_time = SetTime(redis_url)
            return BrokerBench(
                lambda config: RedisBroker(replace(config, url=redis_url)),
                self.set_time,  # type: ignore[arg-type]
                unit=1.0,
                advance=self.set_time.advance,
            )

        def teardown(self) -> None:
            super().teardown()
            self.set_time.server.close()

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=soaked(1000), stateful_step_count=50, deadline=None)
    )
