"""Who takes part, with which settings, and the bounds that Flowrra has to keep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entrant:
    """One row of the report."""

    name: str
    environment: str  #: the requirements file, and the virtual environment made from it
    adapter: str  #: ``module:factory`` under ``adapters``
    settings: str


ENTRANTS = (
    Entrant(
        "bare",
        "bare",
        "bare:BareQueue",
        "PriorityQueue, 100 consumers, a future and a result per task by uuid",
    ),
    Entrant("flowrra-0.1.8", "flowrra-0.1.8", "flowrra_memory:published", "io_workers=100"),
    Entrant("taskiq", "taskiq", "taskiq_memory:Taskiq", "InMemoryBroker(max_stored_results=-1)"),
    Entrant("flowrra", "flowrra", "flowrra_memory:current", "num_workers=100, submit one by one"),
    Entrant("flowrra-timeout", "flowrra", "flowrra_memory:limited", "the same, timeout=30 on the task"),
    Entrant("flowrra-many", "flowrra", "flowrra_memory:batches", "the same, submit_many of 1,000"),
    Entrant("flowrra-msgspec", "flowrra-msgspec", "flowrra_memory:current", "as flowrra, msgspec installed"),
)

#: Environments into which the working tree's own core is installed.
OURS = frozenset({"flowrra", "flowrra-msgspec"})

#: Distributions that do the work; the others in an environment are what they need.
WORKING = ("flowrra", "flowrra-core", "taskiq", "pydantic", "msgspec", "uvloop")


@dataclass(frozen=True, slots=True)
class RateBound:
    """At least *ratio* times the rate of *of*."""

    entrant: str
    of: str
    ratio: float


RATE_BOUNDS = (
    RateBound("flowrra", "bare", 0.3),
    RateBound("flowrra-timeout", "bare", 0.25),
    RateBound("flowrra", "flowrra-0.1.8", 1.2),
    RateBound("flowrra", "taskiq", 1.2),
)

#: The imports that are timed, and what each is called.
IMPORTED = {"asyncio": "asyncio", "flowrra": "flowrra"}

#: ``import flowrra`` takes at most this many times ``import asyncio``.
IMPORT_BOUND = 1.6
