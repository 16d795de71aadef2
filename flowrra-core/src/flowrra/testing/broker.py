"""The conformance suite of brokers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from flowrra.config import BrokerConfig
from flowrra.protocols import QueueAdmin
from flowrra.testing.broker_admin import AdminPromises
from flowrra.testing.broker_bounds import BoundPromises
from flowrra.testing.broker_leases import LeasePromises
from flowrra.testing.broker_once import OncePromises
from flowrra.testing.broker_order import OrderPromises
from flowrra.testing.broker_steps import BrokerBench, BrokerSteps
from flowrra.testing.suites import Suite


@pytest.mark.asyncio
class BrokerConformance(OrderPromises, OncePromises, LeasePromises, BoundPromises, AdminPromises, Suite):
    """Every promise of :class:`~flowrra.protocols.Broker`, as tests.

    Override the fixture ``bench``::

        class TestMyBroker(BrokerConformance):
            @pytest.fixture
            def bench(self):
                clock = FakeClock()
                return BrokerBench(lambda config: MyBroker(config, clock), clock)

    The suite asks the broker for its capabilities: what it says that it can do it must do. Tests of
    what it lacks end at once.
    """

    @pytest.fixture
    def bench(self) -> BrokerBench:
        """The broker under test. To be overridden; it may clean up after a ``yield``."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture bench that returns a BrokerBench")

    @pytest_asyncio.fixture
    async def steps(self, bench: BrokerBench) -> AsyncGenerator[BrokerSteps, None]:
        """A broker without a bound, opened."""
        broker = bench.make(BrokerConfig(url="memory://"))
        await broker.open()
        yield BrokerSteps(broker, bench)
        await broker.close()

    @pytest.fixture
    def admin(self, steps: BrokerSteps) -> QueueAdmin | None:
        """The broker's optional part."""
        return steps.broker.admin
