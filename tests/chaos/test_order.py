"""Tasks run in order of priority, then of arrival."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from rig import LEASE, Rig

from flowrra.message import Settlement, Verdict

#: Seconds after which delayed tasks and retries are due.
SOON = 0.2


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_no_task_overtakes_another_of_its_or_a_higher_priority(
    rig: Rig, soaked: Callable[[int], int]
) -> None:
    work = rig.app.find_task("work")
    priorities = [random.randint(-512, 511) for _ in range(soaked(10_000) // 2)]
    priorities += [random.randint(-1, 1) for _ in priorities]
    random.shuffle(priorities)
    handles = await rig.app.submit_many(work.options(priority=each).signature() for each in priorities)

    await rig.start_workers(1, concurrency=1)
    await rig.until_done()

    arrived = [handle.id for handle in handles]
    expected = [task_id for _, task_id in sorted(zip(priorities, arrived, strict=True), key=lambda p: p[0])]
    assert [note.id for note in rig.notes("begin")] == expected
    (await rig.outcome(arrived)).assert_exactly_one_result()


async def test_delayed_tasks_and_retries_keep_their_priority(rig: Rig) -> None:
    """Once they are due, each stands behind those of its priority that were there."""
    work, broker = rig.app.find_task("work"), rig.app.engine.connections.broker
    priorities = [-512, -3, -3, -1, 0, 0, 0, 1, 7, 511] * 4

    async def submit(delay: float | None = None) -> dict[str, int]:
        order = random.sample(priorities, len(priorities))
        calls = [work.options(priority=each, delay=delay).signature() for each in order]
        handles = await rig.app.submit_many(calls)
        return dict(zip([handle.id for handle in handles], order, strict=True))

    retried = await submit()
    failing = (await broker.claim(["default"], {"io": len(retried)}, LEASE, "test")).deliveries
    retries = [Settlement(each.receipt, Verdict.RETRY, delay=SOON) for each in failing]
    assert all(await broker.settle(retries))
    late = retried | await submit(delay=SOON)
    ready = await submit()
    await asyncio.sleep(SOON)
    await rig.start_workers(1, concurrency=1)
    await rig.until_done()

    ran = [note.id for note in rig.notes("begin")]
    places = [((ready | late)[task_id], task_id in late) for task_id in ran]
    assert places == sorted(places)
    assert len(set(ran)) == len(ran) == 3 * len(priorities)
