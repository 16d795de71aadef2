"""Workers that stand still: what they do when they wake up changes nothing that others did meanwhile."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable

import pytest
from rig import LEASE, Rig

from flowrra.message import Holding, Message, Place, Record, Renewal, Settlement, Verdict
from flowrra.serialization import decode_value
from flowrra.status import TaskStatus

#: Seconds of a task: over before a frozen worker wakes up, but not for whoever took it over.
TASK = 2.5 * LEASE


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_worker_that_was_frozen_for_three_leases_changes_nothing(
    rig: Rig, soaked: Callable[[int], int]
) -> None:
    """Its tasks succeed, fail and are to be retried, and report progress, while another worker runs them."""
    count = soaked(50)
    [frozen] = await rig.start_workers(1, concurrency=3 * count)
    ids = [
        *await rig.submit("work", count, TASK),
        *await rig.submit("stumble", count, TASK, 1),
        *await rig.submit("advance", count, TASK),
    ]
    await rig.until(lambda: len(rig.notes("begin")) == len(ids))
    frozen.send(signal.SIGSTOP)
    [other] = await rig.start_workers(1, concurrency=3 * count)
    await asyncio.sleep(3 * LEASE)
    await rig.until(lambda: len(rig.notes("begin")) == 2 * len(ids))
    frozen.send(signal.SIGTERM)
    frozen.send(signal.SIGCONT)
    await rig.until(lambda: frozen.code is not None)
    await rig.until_done()

    assert refused(frozen.said()) == set(ids)
    outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    for record in outcome.records.values():
        assert record.value is not None
        assert decode_value(record.value).startswith(f"{other.pid}-")
        assert f"{frozen.pid}-".encode() not in (record.progress or b"")
    assert sum(outcome.repeated.values()) == len(ids) + count


def refused(log: str) -> set[str]:
    """The tasks whose outcome a worker was told that nobody wants."""
    return set(re.findall(r"task (\w+) (?:ended here, but another worker has it|was lost)", log))


@pytest.mark.soak
async def test_every_kind_of_late_write_is_refused(rig: Rig, soaked: Callable[[int], int]) -> None:
    """By a worker's own steps, taken here for one that held its tasks three leases too long. Meanwhile
    another has ended half of them, and runs the others."""
    connections = rig.app.engine.connections
    broker, admin, count = connections.broker, connections.broker.admin, soaked(50)
    assert admin is not None
    ended, running = await rig.submit("work", count), await rig.submit("advance", count, 60)
    late = (await broker.claim(["default"], {"io": 2 * count}, LEASE, "late")).deliveries
    assert len(late) == 2 * count
    [worker] = await rig.start_workers(1, concurrency=2 * count)
    await asyncio.sleep(3 * LEASE)

    async def are_taken_over() -> bool:
        has_progress = [entry is not None and bool(entry.progress) for entry in await admin.find(running)]
        return all(has_progress) and len(await rig.records(ended)) == count

    await rig.until_answer(are_taken_over)
    before = await rig.records(ended)
    for verdict in Verdict:
        writes = [
            Settlement(each.receipt, verdict, stale_record(each.message, each.receipt.fence), state=b"late")
            for each in late
        ]
        assert not any(await connections.settler.settle(writes))
        assert not any(await broker.settle(writes))
    renewals = [Renewal(each.receipt, b"late") for each in late]
    assert set(await broker.renew(renewals, LEASE)) == {Holding.LOST}

    assert await rig.records([*ended, *running]) == before
    for entry in await admin.find(running):
        assert entry is not None
        assert (entry.place, entry.fence, entry.state) == (Place.LEASED, 2, b"")
        assert f"{worker.pid}-".encode() in (entry.progress or b"")


def stale_record(message: Message, fence: int) -> Record:
    """What a late worker would like to be the result."""
    return Record(message, TaskStatus.FAILED, fence, 0.0, 0.0, error="late")


async def test_a_task_that_blocks_the_loop_for_three_leases_runs_once(rig: Rig) -> None:
    """Although another worker looks for work all the time."""
    [blocked] = await rig.start_workers(1)
    [task_id] = await rig.submit("block", 1, 3 * LEASE)
    await rig.until(lambda: rig.notes("begin"))
    [other] = await rig.start_workers(1)
    others = [*await rig.submit("work", 5), *await rig.submit("work", 1, LEASE)]
    await rig.until_done()

    outcome = await rig.outcome([task_id, *others])
    outcome.assert_exactly_one_result()
    assert not outcome.repeated
    assert {note.pid for note in rig.notes("begin", [task_id])} == {blocked.pid}
    assert {note.pid for note in rig.notes("begin", others)} == {other.pid}
