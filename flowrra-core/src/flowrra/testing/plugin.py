"""The pytest plugin: fixtures for tests of applications. A test that names none of them notices nothing.

::

    async def test_signing_up(flowrra_app, assert_enqueued, drain, advance):
        await sign_up("ann@example.org")
        await assert_enqueued(send_mail, args=("ann@example.org",))
        [result] = await drain()  # everything that is ready now
        assert result.is_success
        await advance(24 * 3600)  # delays, retries and time limits, without sleeping

The fixtures are synchronous and what they return is awaited, so any plugin for async tests will do. Tests
of an application of one's own override ``flowrra_app``; :func:`flowrra.testing.isolated` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from flowrra.app import Flowrra
    from flowrra.testing.clock import FakeClock
    from flowrra.testing.driving import AppDriver

#: Modules of assertions, whose failures pytest shall explain.
_SUITES: Final = (
    "backend", "backend_history", "backend_signals", "broker", "broker_admin", "broker_bounds",
    "broker_leases", "broker_order", "broker_once", "executor", "model", "model_state",
    "suites",
)  # fmt: skip

pytest.register_assert_rewrite(*(f"flowrra.testing.{suite}" for suite in _SUITES))


@pytest.fixture
def flowrra_clock() -> FakeClock:
    """A clock that stands still until ``advance``."""
    from flowrra.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def flowrra_app(flowrra_clock: FakeClock) -> Iterator[Flowrra]:
    """An application of the test's own: in memory, on ``flowrra_clock``."""
    from flowrra.app import Flowrra
    from flowrra.testing.isolation import isolated

    with isolated(Flowrra(), flowrra_clock) as app:
        yield app


@pytest.fixture
def flowrra_driver(flowrra_app: Flowrra, flowrra_clock: FakeClock) -> AppDriver:
    """What ``drain``, ``advance``, ``assert_enqueued`` and ``refute_enqueued`` are methods of."""
    from flowrra.testing.driving import AppDriver

    return AppDriver(flowrra_app, flowrra_clock)


@pytest.fixture
def drain(flowrra_driver: AppDriver) -> Callable[..., Any]:
    """Run everything that is ready now to its end; awaited. See ``AppDriver.drain``."""
    return flowrra_driver.drain


@pytest.fixture
def advance(flowrra_driver: AppDriver) -> Callable[..., Any]:
    """Let time pass without sleeping; awaited. See ``AppDriver.advance``."""
    return flowrra_driver.advance


@pytest.fixture
def assert_enqueued(flowrra_driver: AppDriver) -> Callable[..., Any]:
    """Fail unless a call of a task waits; awaited. See ``AppDriver.assert_enqueued``."""
    return flowrra_driver.assert_enqueued


@pytest.fixture
def refute_enqueued(flowrra_driver: AppDriver) -> Callable[..., Any]:
    """Fail if a call of a task waits; awaited. See ``AppDriver.refute_enqueued``."""
    return flowrra_driver.refute_enqueued
