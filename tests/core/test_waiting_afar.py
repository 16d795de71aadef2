"""Waiting for a result that a server keeps: in few round trips, and with an answer for every id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import shared_broker
from executor_calls import until
from shared_broker import Server, SharedBackend, SharedBroker

from flowrra import Flowrra, TaskNotFoundError, TaskTimeoutError, TransientError, discovery
from flowrra.message import Settlement, Verdict


class Site:
    """An application without a worker on a server of its own, and what it asked of it."""

    def __init__(self) -> None:
        self.url = shared_broker.new_url()
        self.app = Flowrra(broker=self.url)
        self.one = self.app.task("one")(lambda: 1)

    @property
    def server(self) -> Server:
        return shared_broker.servers[self.url]

    def asked(self) -> dict[str, int]:
        names = ("wait", "find", "get")
        return {name: len(self.server.calls[name]) for name in names if name in self.server.calls}

    async def run_one(self) -> str:
        """A task that a worker elsewhere has finished."""
        task_id = (await self.one.submit()).id
        other = Flowrra(broker=self.url)
        other.task("one")(lambda: 1)
        async with other:
            await until(lambda: task_id in self.server.records._records)
        return task_id


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    discovery.brokers.register("shared", SharedBroker)
    discovery.backends.register("shared", SharedBackend)
    site = Site()
    await site.app.start(workers=False)
    yield site
    await site.app.stop()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert [task for task in left if "_wait" in repr(task) or "_ask" in repr(task)] == []
    discovery.brokers.unregister("shared")
    discovery.backends.unregister("shared")


async def test_a_task_that_is_not_finished_costs_one_question_beside_the_wait(site: Site) -> None:
    handle = await site.one.submit()
    waiting = asyncio.ensure_future(handle.result(10))
    await until(lambda: site.asked() == {"wait": 1, "find": 1})
    other = Flowrra(broker=site.url)
    other.task("one")(lambda: 1)
    async with other:
        assert await waiting == 1
    assert site.asked() == {"wait": 1, "find": 1}


async def test_the_broker_and_the_backend_are_asked_at_the_same_time(site: Site) -> None:
    """Both questions are on their way before either is answered."""
    handle = await site.one.submit()
    site.server.latency = 3600.0
    waiting = asyncio.ensure_future(handle.result(10))
    await until(lambda: site.asked() == {"wait": 1, "find": 1})
    waiting.cancel()
    await asyncio.wait([waiting])
    site.server.latency = 0.0


async def test_a_finished_task(site: Site) -> None:
    task_id = await site.run_one()
    assert (await site.app.wait_for_result(task_id)).result == 1
    assert (await site.app.wait_for_result(task_id, 0)).result == 1


async def test_a_result_needs_no_broker(site: Site) -> None:
    task_id = await site.run_one()
    site.server.latency = 0.02
    waiting = asyncio.ensure_future(site.app.wait_for_result(task_id))
    await until(lambda: "find" in site.asked())
    site.server.failing = {"find": 1}
    assert (await waiting).result == 1


async def test_without_a_result_the_brokers_error_is_told(site: Site) -> None:
    handle = await site.one.submit()
    site.server.failing = {"find": 1}
    with pytest.raises(TransientError):
        await handle.result(10)


@pytest.mark.parametrize("timeout", [None, 0, 10])
async def test_an_unknown_id_is_said_at_once(site: Site, timeout: float | None) -> None:
    with pytest.raises(TaskNotFoundError, match="no task with id 'nobody'"):
        await site.app.wait_for_result("nobody", timeout)


async def test_running_out_of_time_names_the_task(site: Site) -> None:
    handle = await site.one.submit()
    with pytest.raises(TaskTimeoutError, match=rf"^task {handle.id} \(one\) has no result after 0.05 s$"):
        await handle.result(0.05)
    with pytest.raises(TaskTimeoutError, match=r"\(one\)"):
        await handle.result(0)


async def test_a_task_that_is_dead_without_a_record_has_failed(site: Site) -> None:
    """As after its record has expired."""
    handle = await site.one.submit()
    broker = site.app.engine.connections.broker
    [delivery] = (await broker.claim(["default"], {"thread": 1}, 30, "w")).deliveries
    assert await broker.settle([Settlement(delivery.receipt, Verdict.DEAD, reason="given up")]) == [True]
    found = await site.app.wait_for_result(handle.id, 10)
    assert (found.status.value, found.dead_reason) == ("failed", "given up")
