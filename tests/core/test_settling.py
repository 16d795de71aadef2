"""How outcomes are stored and settled on a server, and what a lost answer does to them: nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import shared_broker
from executor_calls import until
from shared_broker import Server, SharedBackend, SharedBroker

from flowrra import BrokerConfig, Config, Flowrra, TaskStatus, current_task, discovery
from flowrra.config import BackendConfig
from flowrra.exceptions import TransientError
from flowrra.hookspecs import hookimpl
from flowrra.message import Delivery, Message, Record, Settlement, Verdict, new_id
from flowrra.worker.settling import TwoStepSettler


@pytest.fixture
def url() -> Iterator[str]:
    discovery.brokers.register("shared", SharedBroker)
    discovery.backends.register("shared", SharedBackend)
    yield shared_broker.new_url()
    discovery.brokers.unregister("shared")
    discovery.backends.unregister("shared")


def server_of(url: str) -> Server:
    return shared_broker.servers[url]


class Steps:
    """A settler, and tasks that one worker or another holds."""

    def __init__(self, url: str) -> None:
        self.broker = SharedBroker(BrokerConfig(url=url))
        self.backend = SharedBackend(BackendConfig(url=url))
        self.settler = TwoStepSettler(self.broker, self.backend, 30.0)
        self.server = self.broker.server

    async def take(self, count: int, lease: float = 30.0) -> list[Delivery]:
        messages = [Message(new_id(), "t", "default", "io", 0, b"[[],{}]", {}) for _ in range(count)]
        await self.broker.enqueue(messages, 0.0)
        return await self.take_again(count, lease)

    async def take_again(self, count: int, lease: float = 30.0) -> list[Delivery]:
        return (await self.broker.claim(["default"], {"io": count}, lease, "w")).deliveries

    async def records(self, deliveries: Sequence[Delivery]) -> list[int | None]:
        found = await self.backend.get([each.message.id for each in deliveries])
        return [record and record.fence for record in found]


@pytest.fixture
async def steps(url: str) -> Any:
    steps = Steps(url)
    await steps.broker.open()
    await steps.backend.open()
    yield steps
    await steps.backend.close()
    await steps.broker.close()


def done(delivery: Delivery) -> Settlement:
    receipt = delivery.receipt
    record = Record(delivery.message, TaskStatus.SUCCESS, receipt.fence, delivery.submitted_at, 1.0)
    return Settlement(receipt, Verdict.DONE, record)


def retried(delivery: Delivery) -> Settlement:
    return Settlement(delivery.receipt, Verdict.RETRY, delay=60.0)


@pytest.mark.parametrize("ends", [[done], [retried], [done, retried]])
async def test_what_the_first_try_settled_is_accepted_by_the_second(steps: Steps, ends: list[Any]) -> None:
    deliveries = await steps.take(4)
    batch = [ends[number % len(ends)](delivery) for number, delivery in enumerate(deliveries)]
    steps.server.losing = {"settle": 1}
    with pytest.raises(TransientError):
        await steps.settler.settle(batch)
    assert await steps.settler.settle(batch) == [True] * 4
    assert await steps.settler.settle(batch) == [False] * 4


async def test_what_was_lost_before_the_first_try_is_refused_by_the_second(steps: Steps) -> None:
    lost = await steps.take(1, lease=0.001)
    await asyncio.sleep(0.005)
    [taken] = await steps.take_again(1)
    batch = [done(each) for each in (*lost, *await steps.take(1))]
    steps.server.losing = {"settle": 1}
    with pytest.raises(TransientError):
        await steps.settler.settle(batch)
    assert await steps.settler.settle(batch) == [False, True]
    assert await steps.records([taken]) == [None]
    assert await steps.settler.settle([done(taken)]) == [True]


@pytest.mark.parametrize("fault", ["renew", "store", "settle"])
async def test_a_try_that_did_not_get_through_settles_nothing(steps: Steps, fault: str) -> None:
    batch = [done(delivery) for delivery in await steps.take(3)]
    steps.server.failing = {fault: 1}
    with pytest.raises(TransientError):
        await steps.settler.settle(batch)
    assert await steps.settler.settle(batch) == [True] * 3


async def test_round_trips(steps: Steps) -> None:
    """Three with something to store, one without, and none of them for nothing."""
    deliveries = await steps.take(6)
    await steps.settler.settle([retried(each) for each in deliveries[:3]])
    assert {name: len(calls) for name, calls in steps.server.calls.items() if name != "claim"} == {
        "enqueue": 1,
        "settle": 1,
    }
    batch = [done(each) for each in deliveries[3:]]
    await steps.settler.settle(batch)
    counted = {name: len(steps.server.calls[name]) for name in ("renew", "store", "settle")}
    assert counted == {"renew": 1, "store": 1, "settle": 2}
    await steps.settler.settle(batch)
    counted = {name: len(steps.server.calls[name]) for name in ("renew", "store", "settle")}
    assert counted == {"renew": 2, "store": 1, "settle": 2}


class Heard:
    """A plugin that notes which tasks finished and which are retried."""

    def __init__(self) -> None:
        self.finished: list[str] = []
        self.retrying: list[str] = []

    @hookimpl
    async def flowrra_task_finished(self, results: Any) -> None:
        self.finished += [result.task_id for result in results]

    @hookimpl
    async def flowrra_task_retrying(self, results: Any) -> None:
        self.retrying += [result.task_id for result in results]


async def test_lost_answers_are_no_refusals(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each task ends once, is announced once, and nobody hears that another worker has it."""
    caplog.set_level(logging.WARNING)
    app = Flowrra(Config(broker=BrokerConfig(url=url, lease=0.5)))
    heard = Heard()
    app.engine.add_plugin(heard)
    runs: list[int] = []

    @app.task(retry_delay=0)
    async def work(n: int) -> int:
        runs.append(n)
        if n % 5 == 0 and current_task().attempt == 1:
            raise ValueError
        return n

    async with app:
        await (await work.submit(1)).result(10)
        server_of(url).losing = {"settle": 3}
        handles = await app.submit_many(work.signature(n) for n in range(50))
        assert [await handle.result(20) for handle in handles] == list(range(50))
        await until(lambda: app.engine.worker is not None and not app.engine.worker.running)
    assert len(runs) == 51 + 10
    assert sorted(heard.finished[1:]) == sorted(handle.id for handle in handles)
    assert sorted(heard.retrying) == sorted(handle.id for handle in handles[::5])
    assert "another worker" not in caplog.text
