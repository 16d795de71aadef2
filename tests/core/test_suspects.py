"""Tasks under which workers died more than once run one at a time: one can't take others along."""

from __future__ import annotations

import asyncio

import pytest

from flowrra import ExecutorConfig, Flowrra
from flowrra.message import Delivery, Receipt, Settlement, Verdict
from flowrra.testing.factories import make_message
from flowrra.worker.intake import Intake
from flowrra.worker.running import Running


class Gate:
    """An intake that knows one task, and deliveries of it."""

    def __init__(self, max_deliveries: int = 5) -> None:
        app = Flowrra()

        @app.task()
        async def work() -> None: ...

        config = ExecutorConfig()
        kinds = {"io": app.executors["io"]}
        self.intake = Intake(app.registry, kinds, config, max_deliveries, "worker", print)

    def take(self, deliveries: int) -> Running | Settlement:
        message = make_message()
        receipt = Receipt(message.id, message.queue, deliveries)
        return self.intake.take(Delivery(message, receipt, deliveries, 0.0, 0.0), 0.0)


def runs(taken: Running | Settlement) -> bool:
    return isinstance(taken, Running)


@pytest.mark.parametrize(("max_deliveries", "last_free"), [(5, 2), (3, 2), (2, 1), (1, 1)])
def test_what_died_rarely_runs_beside_others(max_deliveries: int, last_free: int) -> None:
    gate = Gate(max_deliveries)
    assert all(runs(gate.take(last_free)) for _ in range(3))
    if last_free < max_deliveries:
        assert [runs(gate.take(last_free + 1)) for _ in range(3)] == [True, False, False]


async def test_the_next_suspect_runs_when_the_one_before_has_ended() -> None:
    gate = Gate()
    first, aside = gate.take(3), gate.take(4)
    assert isinstance(first, Running)
    assert isinstance(aside, Settlement)
    assert (aside.verdict, aside.counted, aside.delay) == (Verdict.RELEASE, False, 1.0)

    first.future = asyncio.create_task(asyncio.sleep(0))
    await first.future

    assert [runs(gate.take(3)) for _ in range(2)] == [True, False]
    assert runs(gate.take(1))
