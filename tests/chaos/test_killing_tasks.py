"""Tasks that kill what runs them are given up after so many deliveries; the others don't suffer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rig import Rig

from flowrra.status import TaskStatus

MAX_DELIVERIES = 3

MakeRig = Callable[..., Awaitable[Rig]]


@pytest.mark.parametrize(
    ("task", "way", "reason"),
    [
        ("die", "exit", "its worker died 3 times while it ran"),
        ("die", "segfault", "its worker died 3 times while it ran"),
        ("die", "kill", "its worker died 3 times while it ran"),
        ("die_apart", "kill", "that was delivery 3"),
    ],
)
async def test_a_killing_task_is_given_up_and_can_run_again_once_it_is_mended(
    make_rig: MakeRig, tmp_path: Path, task: str, way: str, reason: str
) -> None:
    rig = await make_rig(max_deliveries=MAX_DELIVERIES)
    mended = tmp_path / "mended"
    async with rig.keep_workers(2):
        [killer] = await rig.submit(task, 1, way, str(mended))
        await rig.until(lambda: rig.notes("begin"))
        others = await rig.submit("work", 20, 0.01)
        dead = await rig.app.wait_for_result(killer, 30)
        await rig.until_done()

        assert (dead.status, len(rig.notes("begin", [killer]))) == (TaskStatus.FAILED, MAX_DELIVERIES)
        assert reason in (dead.dead_reason or "")
        assert {run.task_id for run in (await rig.manager.dead()).runs} == {killer}
        records = await rig.records(others)
        assert Counter(record.status for record in records.values()) == {TaskStatus.SUCCESS: 20}

        mended.touch()
        assert await rig.manager.requeue([killer]) == [True]
        alive = await rig.app.wait_for_result(killer, 30)

    assert (alive.status, alive.dead_reason) == (TaskStatus.SUCCESS, None)
    assert len(rig.notes("begin", [killer])) == MAX_DELIVERIES + 1
    assert (await rig.manager.dead()).runs == []


async def test_a_killing_task_takes_nobody_with_it(make_rig: MakeRig, tmp_path: Path) -> None:
    """Although whatever its worker held beside it lost its lease at the same time."""
    rig = await make_rig(max_deliveries=MAX_DELIVERIES)
    others = await rig.submit("work", 2, 0.5)
    [killer] = await rig.submit("die", 1, "exit", str(tmp_path / "never"))
    others += await rig.submit("work", 10, 0.5)
    async with rig.keep_workers(2):
        await rig.until_done()

    assert {run.task_id for run in (await rig.manager.dead()).runs} == {killer}
    records = await rig.records(others)
    assert Counter(record.status for record in records.values()) == {TaskStatus.SUCCESS: len(others)}
