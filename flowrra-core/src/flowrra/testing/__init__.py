"""For tests: of applications, and of brokers, backends and executors.

The conformance suites need the extra ``flowrra-core[testing]``; they are imported when first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from flowrra.testing.clock import FakeClock
from flowrra.testing.driving import AppDriver
from flowrra.testing.isolation import isolated

if TYPE_CHECKING:
    from flowrra.testing.backend import BackendBench, BackendConformance
    from flowrra.testing.broker import BrokerConformance
    from flowrra.testing.broker_steps import BrokerBench
    from flowrra.testing.executor import ExecutorConformance
    from flowrra.testing.model import BrokerModel

__all__ = [
    "AppDriver", "BackendBench", "BackendConformance", "BrokerBench", "BrokerConformance", "BrokerModel",
    "ExecutorConformance", "FakeClock", "isolated",
]  # fmt: skip

_LATER: Final = {
    "BackendBench": "backend",
    "BackendConformance": "backend",
    "BrokerBench": "broker_steps",
    "BrokerConformance": "broker",
    "BrokerModel": "model",
    "ExecutorConformance": "executor",
}


def __getattr__(name: str) -> Any:
    """Import a conformance suite."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
