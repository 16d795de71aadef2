"""An application on a server moves between loops: it leaves no connection and nobody who waits behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import shared_broker
from executor_calls import until
from shared_broker import Server, SharedBackend, SharedBroker

from flowrra import BackendConfig, BrokerConfig, Config, Flowrra, TransientError, discovery
from flowrra.hookspecs import hookimpl
from flowrra.memory import MemoryBroker


@pytest.fixture
def url() -> Iterator[str]:
    """A server of its own."""
    discovery.brokers.register("shared", SharedBroker)
    discovery.backends.register("shared", SharedBackend)
    yield shared_broker.new_url()
    discovery.brokers.unregister("shared")
    discovery.backends.unregister("shared")


@pytest.fixture(params=["by URL", "as objects"])
def app(request: pytest.FixtureRequest, url: str) -> Flowrra:
    """An application on that server."""
    if request.param == "by URL":
        return Flowrra(Config(broker=BrokerConfig(url=url, lease=5)))
    config = Config(broker=BrokerConfig(url="memory://", lease=5))
    broker, backend = SharedBroker(BrokerConfig(url=url)), SharedBackend(BackendConfig(url=url))
    return Flowrra(config, broker=broker, backend=backend)


def server_of(url: str) -> Server:
    return shared_broker.servers[url]


def in_the_middle(app: Flowrra) -> tuple[Any, threading.Event, list[bool]]:
    """A task that has begun, and ends when the list has something in it."""
    begun = threading.Event()
    free: list[bool] = []

    @app.task()
    async def work() -> str:
        begun.set()
        await until(lambda: free)
        return "done"

    return work, begun, free


@pytest.mark.parametrize("ends", ["with stop", "without stop"])
@pytest.mark.parametrize("how", ["sync", "other loop"])
def test_whoever_waits_elsewhere_goes_on_waiting(url: str, app: Flowrra, ends: str, how: str) -> None:
    work, begun, free = in_the_middle(app)
    waiting: list[Any] = []

    async def first() -> str:
        await app.start()
        task_id = await app.submit(work)
        waits = {
            "sync": lambda: app.sync.wait_for_result(task_id, 30),
            "other loop": lambda: asyncio.run(app.wait_for_result(task_id, 30)),
        }
        waiting.extend(pool.submit(waits[how]) for _ in range(4))
        await until(lambda: begun.is_set() and len(server_of(url).calls.get("wait", ())) == 4)
        if ends == "with stop":
            await app.stop(wait=False)
        return task_id

    async def second() -> None:
        async with app:
            free.append(True)
            await until(lambda: all(each.done() for each in waiting))

    with ThreadPoolExecutor(4) as pool:
        asyncio.run(first())
        asyncio.run(second())
        assert [each.result().result for each in waiting] == ["done"] * 4
    assert server_of(url).connections == 0


def test_whoever_submits_and_waits_meanwhile_notices_nothing(url: str, app: Flowrra) -> None:
    """Four threads use it while it starts and stops, each time on another loop."""
    runs: list[int] = []
    over = threading.Event()

    @app.task()
    async def double(n: int) -> int:
        runs.append(n)
        return n * 2

    def use(number: int) -> int:
        n = number * 100_000
        while not over.is_set():
            task_id = app.sync.submit(double, n)
            assert app.sync.wait_for_result(task_id, 30).result == n * 2
            n += 1
        return n - number * 100_000

    async def live() -> None:
        async with app:
            seen = len(runs)
            await until(lambda: len(runs) > seen + 3)

    async def finish() -> None:
        async with app:
            over.set()
            await until(lambda: all(each.done() for each in using))

    with ThreadPoolExecutor(4) as pool:
        using = [pool.submit(use, number) for number in range(4)]
        for _ in range(10):
            asyncio.run(live())
        asyncio.run(finish())
        count = sum(each.result() for each in using)
    assert len(set(runs)) == count
    assert server_of(url).connections == 0


async def test_whoever_waits_on_the_home_loop_goes_on_waiting(url: str, app: Flowrra) -> None:
    work, begun, free = in_the_middle(app)
    await app.start()
    handle = await work.submit()
    waiting = [asyncio.ensure_future(handle.result(30)) for _ in range(3)]
    await until(begun.is_set)
    await app.stop(wait=False)
    assert not any(each.done() for each in waiting)
    async with app:
        free.append(True)
        assert await asyncio.gather(*waiting) == ["done"] * 3
    assert server_of(url).connections == 0


async def test_calls_before_the_start_and_after_the_stop_have_connections_of_their_own(
    url: str, app: Flowrra
) -> None:
    @app.task()
    async def one() -> int:
        return 1

    handle = await one.submit()
    for _ in range(3):
        async with app:
            assert await handle.result(10) == 1
        assert server_of(url).connections == 0
        assert await handle.result(10) == 1
        assert server_of(url).connections == 2
    async with app:
        pass
    assert server_of(url).connections == 0


async def test_a_start_that_is_overtaken_by_a_stop_leaves_nothing(url: str, app: Flowrra) -> None:
    app.task("one")(lambda: 1)
    shared_broker.servers.setdefault(url, Server(url)).latency = 0.02
    starting = asyncio.ensure_future(app.start())
    await asyncio.sleep(0.01)
    await app.stop()
    await asyncio.gather(starting, return_exceptions=True)
    assert app.engine.worker is None
    assert not app.is_running
    assert server_of(url).connections == 0


@pytest.mark.parametrize("then", ["handed back by hand", "stopped again"])
async def test_a_stop_that_is_cancelled_keeps_what_is_needed_to_end(
    url: str, app: Flowrra, then: str
) -> None:
    """As with a second signal, when a process has no more patience."""
    work, begun, _ = in_the_middle(app)
    await app.start()
    handle = await work.submit()
    await until(begun.is_set)
    stopping = asyncio.ensure_future(app.stop())
    await asyncio.sleep(0.01)
    stopping.cancel()
    await asyncio.wait([stopping])
    worker = app.engine.worker
    assert app.is_running
    assert worker is not None
    if then == "handed back by hand":
        assert await app.engine.connections.broker.settle(worker.unfinished()) == [True]
    await app.stop(wait=False)
    assert not app.is_running
    assert server_of(url).connections == 0
    assert (await handle.status()).value == "pending"


@pytest.mark.parametrize("part", ["SharedBroker", "SharedBackend"])
async def test_a_start_that_cannot_connect_leaves_nothing(url: str, app: Flowrra, part: str) -> None:
    app.task("one")(lambda: 1)
    shared_broker.servers.setdefault(url, Server(url)).failing = {f"{part}.open": 1}
    with pytest.raises(TransientError, match=f"{part}.open"):
        await app.start()
    assert not app.is_running
    assert server_of(url).connections == 0
    async with app:
        assert app.is_running
    assert server_of(url).connections == 0


def test_what_ran_is_handed_back_over_a_connection_that_works(url: str, app: Flowrra) -> None:
    """Its loop ended without ``stop()``, and with it the worker's own connection."""
    work, begun, free = in_the_middle(app)

    async def forgetful() -> str:
        await app.start()
        task_id = await app.submit(work)
        await until(begun.is_set)
        return task_id

    task_id = asyncio.run(forgetful())
    found = app.sync.get_result(task_id)
    assert found is not None
    assert found.status.value == "pending"
    free.append(True)

    async def finish() -> None:
        async with app:
            await app.wait_for_result(task_id, 10)

    asyncio.run(finish())
    assert server_of(url).connections == 0


def test_a_server_that_is_away_when_the_loop_is_lost_is_no_error_of_the_next_call(
    url: str, app: Flowrra, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    work, begun, _ = in_the_middle(app)

    async def forgetful() -> str:
        await app.start()
        task_id = await app.submit(work)
        await until(begun.is_set)
        return task_id

    task_id = asyncio.run(forgetful())
    server_of(url).failing = {"settle": 1}
    assert app.sync.get_result(task_id) is not None
    assert "can't hand back what ran: TransientError: settle" in caplog.text
    assert "hunter2" not in caplog.text
    asyncio.run(_stopped(app))


async def _stopped(app: Flowrra) -> None:
    await app.start(workers=False)
    await app.stop()


async def test_a_retry_that_is_asked_for_twice_on_the_way_runs_once(app: Flowrra) -> None:
    runs: list[int] = []
    work = app.task("work")(lambda: runs.append(1))
    async with app:
        handle = await work.submit()
        await handle.result(10)
        again = [await app.engine.retry(handle.id, "the-same-id") for _ in range(2)]
        assert again == ["the-same-id"] * 2
        await app.wait_for_result("the-same-id", 10)
        assert await app.pending_count() == 0
    assert len(runs) == 2


async def test_plugins_hear_of_no_end_of_what_never_began() -> None:
    """A start whose broker can't be reached, however often it is tried."""

    class Away(MemoryBroker):
        async def open(self) -> None:
            raise TransientError("away")

    heard: list[str] = []

    class Plugin:
        @hookimpl
        def flowrra_startup(self, app: Flowrra) -> None:
            heard.append("startup")

        @hookimpl
        def flowrra_shutdown(self, app: Flowrra) -> None:
            heard.append("shutdown")

    app = Flowrra(broker=Away())
    app.engine.add_plugin(Plugin())
    for _ in range(2):
        with pytest.raises(TransientError, match="away"):
            await app.start()
    assert heard == []
