"""What the tests of every distribution share."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings

#: Whether long tests do their whole work, as under ``make soak``.
SOAK = os.environ.get("FLOWRRA_SOAK") == "1"

settings.register_profile(
    "flowrra",
    deadline=None,
    max_examples=1000 if SOAK else 100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("flowrra")


@pytest.fixture(scope="session")
def soaked() -> Callable[[int], int]:
    """How much of a whole size to do: all of it under ``make soak``, a tenth otherwise."""
    return lambda whole: whole if SOAK else max(1, whole // 10)
