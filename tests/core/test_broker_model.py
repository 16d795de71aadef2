"""The memory broker does what a model of it does; and the model notices when a broker doesn't."""

from __future__ import annotations

from collections.abc import Callable

import broker_mutants
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from flowrra.memory import MemoryBroker
from flowrra.testing import BrokerBench, BrokerModel, FakeClock


def machine_of(kind: type[MemoryBroker]) -> type[BrokerModel]:
    """The model of one kind of memory broker."""

    class Machine(BrokerModel):
        def bench(self) -> BrokerBench:
            clock = FakeClock()
            return BrokerBench(lambda config: kind(config, clock), clock)

    return Machine


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_memory_broker_behaves_like_its_model(soaked: Callable[[int], int]) -> None:
    run_state_machine_as_test(
        machine_of(MemoryBroker),
        settings=settings(max_examples=soaked(1000), stateful_step_count=50, deadline=None),
    )


@pytest.mark.parametrize("mutant", broker_mutants.ALL, ids=lambda mutant: mutant.__name__)
def test_a_planted_bug_is_caught(mutant: type[MemoryBroker]) -> None:
    """Within fewer examples than the broker itself must pass in a soak."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            machine_of(mutant),
            settings=settings(
                max_examples=500,
                stateful_step_count=50,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
            ),
        )
