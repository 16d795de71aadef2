"""Without faults, each task runs exactly once, however many produce and work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest
from rig import HERE, Rig

PRODUCERS = 16


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_many_producers_and_workers_run_each_task_once(rig: Rig, soaked: Callable[[int], int]) -> None:
    each = soaked(20_000) // PRODUCERS
    await rig.start_workers(4, concurrency=8)
    command = [sys.executable, "-W", "error", str(HERE / "chaos_producers.py")]
    producers = await asyncio.create_subprocess_exec(
        *command, str(PRODUCERS), str(each), str(rig.folder), env=rig.environ()
    )
    assert await producers.wait() == 0
    await rig.until_done()

    ids = [task_id for file in rig.folder.glob("submitted-*") for task_id in file.read_text().split()]
    assert len(set(ids)) == PRODUCERS * each
    outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    assert not outcome.repeated
    assert {note.id for note in rig.notes("end")} == set(ids)
