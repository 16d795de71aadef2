"""Workers that are killed: nothing is lost, nothing counts twice, and others take over in time."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from rig import LEASE, Rig

SLOTS = 4


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_killed_workers_lose_nothing(rig: Rig, soaked: Callable[[int], int]) -> None:
    """Each kill meets a worker at work, and repeats at most what that held."""
    tasks, kills = soaked(5000), soaked(40)
    async with rig.keep_workers(3, concurrency=SLOTS) as workers:
        ids = await rig.submit("work", tasks, 0.02)
        for kill in range(kills):
            mark = tasks * kill // kills
            await rig.until(lambda mark=mark: len(rig.notes("end")) >= mark and rig.busy(workers))
            random.choice(rig.busy(workers)).kill()
        await rig.until_done()

    outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    assert sum(outcome.repeated.values()) <= kills * SLOTS


async def test_another_worker_takes_over_within_a_lease_and_a_second(rig: Rig) -> None:
    await rig.start_workers(2)
    [task_id] = await rig.submit("work", 1, 60)
    await rig.until(lambda: rig.notes("begin"))
    [first] = rig.notes("begin")
    holder, idle = sorted(rig.workers, key=lambda worker: worker.pid != first.pid)

    killed_at = holder.kill()
    await rig.until(lambda: len(rig.notes("begin")) == 2)

    second = rig.notes("begin", [task_id])[1]
    assert second.pid == idle.pid
    assert second.at - killed_at <= LEASE + 1
