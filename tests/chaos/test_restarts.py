"""Workers that are told to end: a deployment loses nothing and repeats nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable

import pytest
from rig import Rig

DRAIN = 5.0


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_rolling_restarts_lose_and_repeat_nothing(rig: Rig, soaked: Callable[[int], int]) -> None:
    restarts = soaked(25)
    workers = await rig.start_workers(2, drain=DRAIN)
    ids: list[str] = []
    for _ in range(restarts):
        workers += await rig.start_workers(1, drain=DRAIN)
        ids += await rig.submit("work", 150, 0.05)
        at_work = [*workers]
        await rig.until(lambda at_work=at_work: len(rig.busy(at_work)) == 3)
        old = workers.pop(0)
        told_at = old.send(signal.SIGTERM)
        await rig.until(lambda old=old: old.code is not None)
        assert (old.code, time.monotonic() - told_at <= DRAIN) == (0, True)
    await rig.until_done()

    outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    assert not outcome.repeated
    assert len({note.pid for note in rig.notes("begin")}) == 2 + restarts


async def test_what_does_not_end_in_time_is_handed_over_at_once(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    """Long before its lease ends, and without counting as a crash."""
    rig = await make_rig(lease=600.0)
    admin = rig.app.engine.connections.broker.admin
    assert admin is not None
    [old] = await rig.start_workers(1, drain=1.0)
    ids = await rig.submit("work", 3, 60)
    await rig.until(lambda: len(rig.notes("begin")) == 3)
    [new] = await rig.start_workers(1)

    old.send(signal.SIGTERM)
    await rig.until(lambda: len(rig.notes("begin")) == 6)
    await rig.until(lambda: old.code is not None)

    assert old.code == 0
    assert {note.id for note in rig.notes("begin") if note.pid == new.pid} == set(ids)
    assert [entry and entry.deliveries for entry in await admin.find(ids)] == [1, 1, 1]
