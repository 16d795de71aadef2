"""What an entry point names exists, and is a constant that the type checkers compare with its contract."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from source_tree import DISTRIBUTIONS, MODULES, parse, place

#: The annotation that each group's constants carry.
FACTORIES = {
    "flowrra.backends": "BackendFactory",
    "flowrra.brokers": "BrokerFactory",
    "flowrra.executors": "ExecutorFactory",
    "flowrra.scheduler_stores": "SchedulerStoreFactory",
}


def _declared() -> Iterator[tuple[str, str, str]]:
    for distribution in DISTRIBUTIONS:
        for group, entries in distribution.project.get("entry-points", {}).items():
            yield from ((group, name, value) for name, value in entries.items())


@pytest.mark.parametrize(("group", "name", "value"), [each for each in _declared() if each[0] in FACTORIES])
def test_implementations_are_annotated_with_their_factory(group: str, name: str, value: str) -> None:
    """``broker: BrokerFactory = MyBroker`` makes a drift from the protocol an error of the type checkers."""
    module, _, constant = value.partition(":")
    annotations = {
        node.target.id: ast.unparse(node.annotation)
        for node in parse(MODULES[module]).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }

    assert annotations.get(constant) == FACTORIES[group], (
        f"{name!r} of {group}: {place(MODULES[module])} must say {constant}: {FACTORIES[group]} = ..."
    )


@pytest.mark.parametrize(("group", "name", "value"), list(_declared()))
def test_entry_points_lead_to_modules_that_exist(group: str, name: str, value: str) -> None:
    assert value.partition(":")[0] in MODULES, f"{name!r} of {group} names no module of the repository"
