"""Leases are kept while tasks run, whatever the tasks do to the loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import pytest
import shared_broker
from executor_calls import until
from fake_clock import FakeClock
from shared_broker import Server, SharedBroker

from flowrra import BrokerConfig, Config, Flowrra, Progress, TaskStatus, current_task, discovery
from flowrra.memory import MemoryBackend
from flowrra.reports import Event


@pytest.fixture
def url() -> Iterator[str]:
    """A server that several applications of this process share."""
    discovery.brokers.register("shared", SharedBroker)
    yield shared_broker.new_url()
    discovery.brokers.unregister("shared")


def leased(url: str, lease: float) -> Config:
    return Config(broker=BrokerConfig(url=url, lease=lease))


def renewal_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("flowrra-renewal")]


class Rival:
    """Another worker, in a thread with a loop of its own, that takes over whatever loses its lease."""

    def __init__(self, config: Config) -> None:
        self.app = Flowrra(config, backend=MemoryBackend())
        self.runs: list[str] = []
        self._ready, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

        @self.app.task("work")
        async def work() -> None:
            self.runs.append(current_task().id)

    async def _work(self) -> None:
        async with self.app:
            self._ready.set()
            await until(lambda: self._end.is_set())

    def start(self) -> None:
        self._thread.start()

    async def __aenter__(self) -> Self:
        self.start()
        await until(self._ready.is_set)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await until(lambda: not self._thread.is_alive())


async def test_a_task_may_take_many_leases() -> None:
    clock = FakeClock()
    app = Flowrra(leased("memory://", 30), clock=clock)
    runs: list[int] = []
    free = asyncio.Event()

    @app.task()
    async def long() -> str:
        runs.append(1)
        await free.wait()
        return "done"

    async with app:
        handle = await long.submit()
        await clock.advance(3_000)
        free.set()
        assert await handle.result() == "done"
    assert runs == [1]


async def test_a_jump_of_time_is_no_death() -> None:
    """As after a suspended machine: the worker renews before it claims, so that it does not reap its own."""
    clock = FakeClock()
    app = Flowrra(leased("memory://", 30), clock=clock)
    runs: list[int] = []
    free = asyncio.Event()

    @app.task()
    async def work() -> str:
        runs.append(1)
        await free.wait()
        return "done"

    async with app:
        handle = await work.submit()
        for _ in range(5):
            await clock.jump(100)
            await (await app.task("other")(asyncio.sleep).submit(0)).result()
        free.set()
        assert await handle.result() == "done"
    assert runs == [1]


async def test_blocking_the_loop_does_not_double_a_task_in_memory() -> None:
    app = Flowrra(leased("memory://", 0.1))
    runs: list[int] = []

    @app.task()
    async def block() -> str:
        runs.append(1)
        time.sleep(0.35)  # noqa: ASYNC251
        await asyncio.sleep(0)
        return "done"

    async with app:
        handles = [await block.submit() for _ in range(2)]
        assert [await handle.result(10) for handle in handles] == ["done"] * 2
    assert runs == [1, 1]


async def test_blocking_the_loop_does_not_double_a_task_of_a_server(url: str) -> None:
    """Three leases long the loop stands still while another worker looks for work."""
    app = Flowrra(leased(url, 0.3))
    runs: list[int] = []
    begun = threading.Event()

    @app.task("work")
    async def block() -> str:
        runs.append(1)
        begun.set()
        time.sleep(1.0)  # noqa: ASYNC251
        return "done"

    async with app:
        handle = await block.submit()
        await until(begun.is_set)
        async with Rival(leased(url, 0.3)) as rival:
            assert await handle.result(10) == "done"
            assert rival.runs == []
        threads = set(shared_broker.servers[url].calls["renew"])
    assert any(name.startswith("flowrra-renewal") for name in threads)
    assert runs == [1]
    assert renewal_threads() == []


async def test_a_loop_that_is_blocked_for_too_long_loses_its_leases(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker takes over, and the late result is refused."""
    monkeypatch.setattr("flowrra.worker.renewal.MAX_BLOCK", 0.3)
    app = Flowrra(leased(url, 0.2))
    rival = Rival(leased(url, 0.2))

    @app.task("work")
    async def block() -> str:
        rival.start()
        while not rival.runs:
            time.sleep(0.01)  # noqa: ASYNC251
        return "late"

    async with app:
        handle = await block.submit()
        await until(lambda: rival.runs)
        await until(lambda: app.engine.worker is not None and not app.engine.worker.running)
        assert await app.engine.connections.backend.get([handle.id]) == [None]
    await rival.__aexit__()


async def test_progress_travels_with_the_renewals(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = Flowrra(leased(url, 0.3))
    free = asyncio.Event()

    @app.task()
    async def work() -> None:
        current_task().progress(1, 2, "half")
        await free.wait()
        current_task().progress(2, 2, "all")

    async def progress() -> Progress | None:
        result = await app.get_result(handle.id)
        assert result is not None
        return result.progress

    async with app:
        handle = await work.submit()
        while await progress() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await progress() == Progress(done=1, total=2, message="half")
        free.set()
        await handle.result(10)
        assert await progress() == Progress(done=2, total=2, message="all")


@pytest.mark.parametrize("where", ["elsewhere", "in this process"])
async def test_progress_is_an_event_for_those_who_listen(
    url: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many reports in a short time are one event, of the newest."""
    monkeypatch.setattr("flowrra.worker.renewal.PROGRESS_EVERY", 0.05)
    app = Flowrra(leased(url if where == "elsewhere" else "memory://", 3.0), backend=MemoryBackend())
    free = asyncio.Event()

    @app.task(queue="q")
    async def work() -> None:
        for done in range(100):
            current_task().progress(done, 100, "step")
        await free.wait()

    async with app:
        stream = app.engine.connections.backend.stream
        assert stream is not None
        events = stream.events({"progress"})
        first = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        handle = await work.submit()
        event = await first
        assert (event.kind, event.task_id, event.task, event.queue) == ("progress", handle.id, "work", "q")
        assert event.data == {"done": 99, "total": 100, "message": "step"}
        free.set()
        await handle.result(10)
        assert await _nothing_more(events)


async def _nothing_more(events: AsyncIterator[Event]) -> bool:
    """Whether no event is left; ends *events*."""
    more = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    return not more.done() and more.cancel()


async def test_a_settlement_whose_answer_is_slow_is_no_loss(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Renewals hear that the lease has ended, because the task's own settlement has ended it."""
    app = Flowrra(leased(url, 0.15), backend=MemoryBackend())
    server = shared_broker.servers.setdefault(url, Server(url))
    server.slow = {"settle": 0.3}

    @app.task()
    async def work() -> str:
        return "done"

    async with app:
        handle = await work.submit()
        assert await handle.result(10) == "done"
        await until(lambda: app.engine.worker is not None and not app.engine.worker.running)
    assert server.calls["renew"][1:] != []
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("fault", ["failing", "slow"])
async def test_renewals_go_on_after_a_failure(url: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, with what is wrong; the connection is closed whatever the last step did."""
    app = Flowrra(leased(url, 0.6), backend=MemoryBackend())
    free = asyncio.Event()

    @app.task()
    async def work() -> str:
        await free.wait()
        return "done"

    async with app:
        handle = await work.submit()
        server = shared_broker.servers[url]
        await until(lambda: len(server.calls.get("renew", ())) >= 1)
        setattr(server, fault, {"renew": 2})
        await until(lambda: len(server.calls["renew"]) >= 3)
        setattr(server, fault, {})
        count = len(server.calls["renew"])
        await until(lambda: len(server.calls["renew"]) > count)
        free.set()
        assert await handle.result(10) == "done"
        setattr(server, fault, {"renew": 10_000})
    what = {"failing": "TransientError: renew: the server at", "slow": "TimeoutError: no answer within 0.2 s"}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert said[0].startswith(f"can't renew leases: {what[fault]}")
    assert server.connections == 0


async def test_the_connection_is_closed_though_the_last_renewal_hangs(url: str) -> None:
    app = Flowrra(leased(url, 0.3), backend=MemoryBackend())

    @app.task()
    async def work() -> None:
        await asyncio.Event().wait()

    async with app:
        await work.submit()
        server = shared_broker.servers[url]
        await until(lambda: len(server.calls.get("renew", ())) >= 1)
        server.slow = {"renew": 3600.0}
        count = len(server.calls["renew"])
        await until(lambda: len(server.calls["renew"]) > count)
        await app.stop(wait=False)
    assert server.connections == 0
    assert renewal_threads() == []


async def test_a_renewal_connection_that_cannot_open_at_first_opens_later(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flowrra(leased(url, 0.3), backend=MemoryBackend())
    free = asyncio.Event()
    runs: list[int] = []

    @app.task()
    async def work() -> None:
        runs.append(1)
        await free.wait()

    server = shared_broker.servers.setdefault(url, Server(url))
    await app.start(workers=False)
    handle = await work.submit()
    server.failing = {"SharedBroker.open": 1}
    await app.engine.start(workers=True)
    await until(lambda: len(server.calls.get("renew", ())) >= 3)
    free.set()
    await handle.result(10)
    await app.stop()
    assert runs == [1]
    assert "can't renew leases: TransientError: SharedBroker.open" in caplog.text
    assert server.connections == 0


def test_the_thread_ends_when_the_workers_loop_is_gone(url: str) -> None:
    """Nobody called ``stop()``, and nobody uses the application again."""
    app = Flowrra(leased(url, 0.1), backend=MemoryBackend())
    asyncio.run(app.start())
    for thread in threading.enumerate():
        if thread.name.startswith("flowrra-renewal"):
            thread.join(20)
    assert renewal_threads() == []
    assert shared_broker.servers[url].connections == 1
    asyncio.run(app.start())
    asyncio.run(app.stop())
    assert shared_broker.servers[url].connections == 0


FROZEN = """
import asyncio, os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
import shared_broker
from flowrra import BrokerConfig, Config, Flowrra, discovery
from flowrra.memory import MemoryBackend
from flowrra.worker import renewal

renewal.MAX_BLOCK = 1.0
discovery.brokers.register("shared", shared_broker.SharedBroker)
app = Flowrra(Config(broker=BrokerConfig(url="shared://x", lease=0.3)), backend=MemoryBackend())

@app.task()
async def work():
    await asyncio.Event().wait()

async def renewed():
    calls = shared_broker.servers["shared://x"].calls.setdefault("renew", [])
    before = len(calls)
    while len(calls) < before + 3:
        await asyncio.sleep(0.01)

async def main():
    async with app:
        await work.submit()
        await renewed()
        thaw = subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
        await renewed()
        thaw.wait()
        await app.stop(wait=False)
    print("ok")

asyncio.run(asyncio.wait_for(main(), 30))
"""


def test_a_process_that_was_frozen_for_long_renews_again() -> None:
    """Longer than a loop may be blocked, as with a suspended machine."""
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, str(Path(__file__).parent)],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


async def test_an_idle_worker_renews_nothing(url: str) -> None:
    app = Flowrra(leased(url, 0.03))
    async with app:
        await until(lambda: len(shared_broker.servers[url].calls.get("claim", ())) > 5)
    assert "renew" not in shared_broker.servers[url].calls


async def test_a_broker_that_was_given_as_an_object_is_renewed_too(url: str) -> None:
    """There is no URL for a second connection: the loop renews."""
    app = Flowrra(
        Config(broker=BrokerConfig(url="memory://", lease=0.2)), broker=SharedBroker(BrokerConfig(url=url))
    )
    runs: list[int] = []
    lasted = 0.0

    @app.task()
    async def work() -> str:
        runs.append(1)
        await until(lambda: not (len(shared_broker.servers[url].calls.get("renew", ())) < 6))
        return "done"

    async with app:
        handle = await work.submit()
        assert await handle.result(10) == "done"
        assert await handle.status() is TaskStatus.SUCCESS
    assert (runs, lasted) == ([1], 0.0)


async def test_no_thread_where_none_is_needed() -> None:
    async with Flowrra():
        assert renewal_threads() == []
