"""Unique keys: one task of many, until it is final, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import chaos_jobs
import pytest
from rig import Rig

from flowrra import Flowrra
from flowrra.status import TaskStatus

RACERS = 50


async def submit(app: Flowrra, task: str, *args: object, **options: object) -> str:
    """Submit one task; its id, or that of the holder of its key."""
    signature = app.find_task(task).options(**options).signature(*args)
    [handle] = await app.submit_many([signature])
    return handle.id


@pytest.mark.soak
async def test_one_of_many_racers_wins_each_key(rig: Rig, soaked: Callable[[int], int]) -> None:
    """Each racer has connections of its own."""
    keys = [f"key-{number}" for number in range(soaked(200))]
    winners: set[str] = set()
    async with AsyncExitStack() as stack:
        racers = [chaos_jobs.make_app(rig.config) for _ in range(RACERS)]
        for racer in racers:
            await racer.start(workers=False)
            stack.push_async_callback(racer.stop)
        for key in keys:
            ids = await asyncio.gather(*(submit(racer, "work", unique_key=key) for racer in racers))
            assert len(set(ids)) == 1
            winners.add(ids[0])
        assert (len(winners), await rig.left()) == (len(keys), len(keys))

        await rig.start_workers(1)
        await rig.until_done()
        again = {await submit(racers[0], "work", unique_key=key) for key in keys}
        await rig.until_done()

    outcome = await rig.outcome([*winners, *again])
    outcome.assert_exactly_one_result()
    assert not outcome.repeated
    assert len(again - winners) == len(keys)


async def test_a_key_is_free_after_every_end(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    """And taken until then, also while its task waits for another attempt."""
    rig = await make_rig(max_deliveries=1)
    app = rig.app
    tasks: dict[str, tuple[tuple[object, ...], dict[str, object], TaskStatus]] = {
        "done": (("work",), {}, TaskStatus.SUCCESS),
        "failed": (("stumble", 0, 99), {}, TaskStatus.FAILED),
        "dead": (("die_apart", "kill", "never"), {}, TaskStatus.FAILED),
        "cancelled while it waits": (("work",), {"delay": 60}, TaskStatus.CANCELLED),
        "cancelled while it runs": (("work", 60), {}, TaskStatus.CANCELLED),
        "expired": (("work",), {"expires": 0.01}, TaskStatus.CANCELLED),
    }

    async def submit_all() -> dict[str, str]:
        return {
            key: await submit(app, *args, **options, unique_key=key)
            for key, (args, options, _) in tasks.items()
        }

    first = await submit_all()
    assert await submit_all() == first
    await rig.start_workers(1)
    await rig.until(lambda: rig.notes("begin", [first["cancelled while it runs"]]))
    await rig.until(lambda: len(rig.notes("begin", [first["failed"]])) > 1)
    running = {key: first[key] for key in ("failed", "cancelled while it waits", "cancelled while it runs")}
    assert {key: await submit(app, "work", unique_key=key) for key in running} == running
    for key in ("cancelled while it waits", "cancelled while it runs"):
        assert await app.cancel(first[key])
    results = {key: await app.wait_for_result(task_id, 20) for key, task_id in first.items()}

    assert {key: result.status for key, result in results.items()} == {key: t[2] for key, t in tasks.items()}
    assert results["dead"].dead_reason is not None
    again = await submit_all()
    assert not set(again.values()) & set(first.values())
