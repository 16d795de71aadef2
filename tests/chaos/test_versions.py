"""Two versions of an application on one queue: what one doesn't know waits for the other."""

from __future__ import annotations

from rig import Rig

from flowrra.message import FORMAT
from flowrra.options import Options
from flowrra.state import decode_state

#: Pauses before an unknown task is offered again, in seconds: the first two.
PAUSES = [1.0, 2.0]


async def test_what_a_version_does_not_know_waits_for_one_that_does(rig: Rig) -> None:
    """Tasks and message formats. The others go on meanwhile; the older is offered them ever more rarely."""
    engine = rig.app.engine
    admin = engine.connections.broker.admin
    assert admin is not None
    unknown = await rig.submit("novelty", 5)
    work = rig.app.find_task("work")
    messages = [engine.message(work, (), {}, Options())._replace(version=FORMAT + 1) for _ in range(5)]
    unknown += await engine.enqueue(messages)
    known = await rig.submit("work", 20)
    [older] = await rig.start_workers(1, target="chaos_jobs:make_older_app()", concurrency=2)

    async def parked(times: int) -> bool:
        entries = await admin.find(unknown)
        return all(entry is not None and decode_state(entry.state).parked >= times for entry in entries)

    for times in range(1, len(PAUSES) + 1):
        await rig.until_answer(lambda times=times: parked(times))
        for entry in await admin.find(unknown):
            assert entry is not None
            assert (entry.deliveries, decode_state(entry.state).parked) == (0, times)
            assert entry.due is not None
            assert entry.due - entry.submitted_at >= sum(PAUSES[:times])
        known += await rig.submit("work", 20)
    await rig.until(lambda: len(rig.notes("end")) == len(known))
    assert {note.id for note in rig.notes("begin")} == set(known)

    known += await rig.submit("work", 2, 6)
    await rig.until(lambda: len(rig.notes("begin")) == len(known))
    [newer] = await rig.start_workers(1, target="chaos_jobs:make_newer_app()")
    await rig.until_done()

    outcome = await rig.outcome([*known, *unknown])
    outcome.assert_exactly_one_result()
    assert not outcome.repeated
    assert {note.pid for note in rig.notes("begin", unknown)} == {newer.pid}
    assert {note.pid for note in rig.notes("begin", known)} == {older.pid}
