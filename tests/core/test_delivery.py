"""At least once: what happens to a task when workers die, don't know it, or lose it to another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import shared_broker
from executor_calls import until
from fake_clock import FakeClock
from shared_broker import Server, SharedBroker

from flowrra import (
    BrokerConfig,
    Call,
    Config,
    DecodingError,
    ExecutorConfig,
    Flowrra,
    IOExecutor,
    TaskStatus,
    TransientError,
    current_task,
    discovery,
)
from flowrra.call import EncodedValue
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.message import FORMAT, Message, new_id

DAY = 24 * 3600.0


@pytest.fixture
def url() -> Iterator[str]:
    """A server that several applications of this process share."""
    discovery.brokers.register("shared", SharedBroker)
    yield shared_broker.new_url()
    discovery.brokers.unregister("shared")


def server_of(url: str) -> Server:
    return shared_broker.servers[url]


async def put(app: Flowrra, **changes: object) -> str:
    """Queue a message that this version's ``submit`` would not make."""
    message = Message(new_id(), "unknown", "default", "io", 0, b"[[],{}]", {})._replace(**changes)
    await app.engine.enqueue([message])
    return message.id


async def die(app: Flowrra, clock: FakeClock, times: int) -> None:
    """Claim as a worker would, and never be heard of again."""
    for _ in range(times):
        claim = await app.engine.connections.broker.claim(["default"], {"io": 1}, 30.0, "doomed")
        assert len(claim.deliveries) == 1
        await clock.advance(30)


class TestUnknownTasks:
    async def test_they_are_put_back_with_back_off_until_a_worker_knows_them(self) -> None:
        clock = FakeClock()
        app = Flowrra(clock=clock)
        async with app:
            task_id = await put(app)
            for delay in (1, 2, 4, 8, 16, 32, 60, 60):
                await clock.settle()
                result = await app.get_result(task_id)
                assert result is not None
                assert (result.status, result.retries) == (TaskStatus.PENDING, 0)
                assert result.due_at is not None
                assert result.due_at.timestamp() == clock.time() + delay
                await clock.advance(delay)

            @app.task("unknown", max_retries=0)
            async def known() -> int:
                return current_task().attempt

            await clock.advance(60)
            result = await app.wait_for_result(task_id)
        assert (result.result, result.retries) == (1, 0)

    async def test_they_hold_up_nobody(self) -> None:
        clock = FakeClock()
        app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)), clock=clock)
        good = app.task("good")(lambda: "good")
        async with app:
            for _ in range(100):
                await put(app)
            before = clock.time()
            assert await (await good.submit()).result() == "good"
            assert clock.time() == before

    async def test_they_are_dead_after_seven_days(self) -> None:
        clock = FakeClock()
        app = Flowrra(clock=clock)
        async with app:
            task_id = await put(app)
            await clock.settle()
            await clock.jump(7 * DAY)
            result = await app.get_result(task_id)
            assert result is not None
            assert result.status is TaskStatus.PENDING
            await clock.jump(60)
            result = await app.wait_for_result(task_id)
            assert result.status is TaskStatus.FAILED
            assert result.dead_reason == (
                "this worker knows no task named 'unknown', and no other worker ran it for 7 days"
            )
            assert result.error == result.dead_reason
            assert await app.pending_count() == 0

    async def test_a_newer_format_is_left_to_newer_workers(self, caplog: pytest.LogCaptureFixture) -> None:
        clock = FakeClock()
        app = Flowrra(clock=clock)
        app.task("good")(lambda: 1)
        async with app:
            task_id = await put(app, task="good", lane="thread", version=FORMAT + 1)
            await clock.advance(100)
            result = await app.get_result(task_id)
            assert result is not None
            assert (result.status, result.retries) == (TaskStatus.PENDING, 0)
            await clock.jump(7 * DAY + 60)
            await clock.advance(60)
            result = await app.wait_for_result(task_id)
        assert (result.dead_reason or "").startswith(
            f"its message has format {FORMAT + 1}; this worker reads up to {FORMAT}"
        )

    async def test_damaged_arguments_fail_once(self) -> None:
        app = Flowrra()
        runs: list[int] = []
        good = app.task("good", retry_delay=0)(lambda: runs.append(1))
        async with app:
            for body in (b"", b"\xff", b"{}", b'[[{"$nosuch":1}],{}]'):
                task_id = await put(app, task="good", lane="thread", body=body)
                result = await app.engine.connections.backend.wait(task_id, 10)
                assert result is not None
                assert (result.status, result.retries) == (TaskStatus.FAILED, 0)
                assert (result.error or "").startswith("DecodingError")
                found = await app.get_result(task_id)
                assert found is not None
                assert found.status is TaskStatus.FAILED
            await (await good.submit()).result(10)
        assert runs == [1]


class TestCrashes:
    async def test_a_dead_workers_task_runs_again_when_its_lease_ends(self) -> None:
        clock = FakeClock()
        app = Flowrra(clock=clock)
        ran: list[float] = []

        @app.task(max_retries=0)
        async def work() -> int:
            ran.append(clock.time())
            return current_task().attempt

        await app.start(workers=False)
        start = clock.time()
        handle = await work.submit()
        claim = await app.engine.connections.broker.claim(["default"], {"io": 1}, 30.0, "doomed")
        assert len(claim.deliveries) == 1
        await app.stop()
        async with app:
            await clock.advance(29)
            assert ran == []
            await clock.advance(2)
            assert await handle.result() == 1
        assert ran[0] - start <= 31

    async def test_it_is_dead_after_max_deliveries_and_can_be_requeued(self) -> None:
        """Its retries are untouched; under its old id it begins anew."""
        clock = FakeClock()
        app = Flowrra(clock=clock)

        @app.task(unique_key="only")
        async def work() -> str:
            return "done"

        await app.start(workers=False)
        handle = await work.submit()
        await die(app, clock, 5)
        await app.stop()
        async with app:
            result = await app.wait_for_result(handle.id)
            assert (result.status, result.retries) == (TaskStatus.FAILED, 0)
            assert result.dead_reason == "its worker died 5 times while it ran (max_deliveries)"
            again = await work.submit()
            assert again.id != handle.id
            await again.result()
            assert await app.engine.admin("requeue").requeue([handle.id]) == [True]
            await clock.settle()
            found = await app.get_result(handle.id)
        assert found is not None
        assert (found.status, found.result, found.dead_reason) == (TaskStatus.SUCCESS, "done", None)

    async def test_one_delivery_less_and_it_runs(self) -> None:
        clock = FakeClock()
        config = Config(broker=BrokerConfig(url="memory://", max_deliveries=3))
        app = Flowrra(config, clock=clock)

        @app.task()
        async def work() -> str:
            return "done"

        await app.start(workers=False)
        handle = await work.submit()
        await die(app, clock, 2)
        await app.stop()
        async with app:
            assert await handle.result() == "done"

    async def test_a_redelivered_task_keeps_its_place(self) -> None:
        clock = FakeClock()
        app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)), clock=clock)
        order: list[int] = []

        @app.task()
        async def note(n: int) -> None:
            order.append(n)

        await app.start(workers=False)
        await note.submit(0)
        await die(app, clock, 1)
        for n in (1, 2, 3):
            await note.submit(n)
        await app.stop()
        async with app:
            await until(lambda: len(order) >= 4)
        assert order == [0, 1, 2, 3]


class TestServer:
    """A broker that others can claim from, and a backend elsewhere: three steps, and a thread that renews."""

    async def test_tasks_run_and_results_are_kept(self, url: str) -> None:
        app = Flowrra(broker=url)

        @app.task(retry_delay=0)
        async def square(n: int) -> int:
            if n % 7 == 0 and current_task().attempt == 1:
                raise ValueError
            return n * n

        async with app:
            handles = await app.submit_many(square.signature(n) for n in range(300))
            assert [await handle.result(20) for handle in handles] == [n * n for n in range(300)]
            assert await app.pending_count() == 0
        assert server_of(url).connections == 0

    async def test_it_recovers_from_a_server_that_goes_away(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A worker's calls fail for a while: nothing is lost, each kind is said once, no password."""
        caplog.set_level(logging.WARNING)
        app = Flowrra(Config(broker=BrokerConfig(url=url, lease=5)))
        runs: list[int] = []

        @app.task()
        async def work(n: int) -> int:
            runs.append(n)
            return n

        async with app:
            assert await (await work.submit(-1)).result(10) == -1
            server = server_of(url)
            server.failing = {"claim": 3, "settle": 2, "renew": 2}
            handles = await app.submit_many(work.signature(n) for n in range(50))
            assert [await handle.result(20) for handle in handles] == list(range(50))
            await until(lambda: app.engine.worker is not None and not app.engine.worker.running)
        assert sorted(runs) == list(range(-1, 50))
        texts = [record.getMessage() for record in caplog.records]
        assert sum(text.startswith("can't claim tasks: TransientError: claim") for text in texts) == 1
        assert sum(text.startswith("can't settle finished tasks: TransientError") for text in texts) >= 1
        assert len(texts) <= 4
        assert "hunter2" not in caplog.text

    async def test_a_task_that_another_worker_took_over_has_one_result(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The first worker can't renew; its late finish is refused."""
        config = Config(broker=BrokerConfig(url=url, lease=0.5), executor=ExecutorConfig(num_workers=1))
        backend = MemoryBackend()
        first, second = Flowrra(config, backend=backend), Flowrra(config, backend=backend)
        began: list[str] = []
        free, back = asyncio.Event(), asyncio.Event()

        @first.task("work")
        async def work_here() -> str:
            began.append("first")
            await free.wait()
            return "first"

        @second.task("work")
        async def work_there() -> str:
            began.append("second")
            await back.wait()
            return "second"

        async with first:
            handle = await work_here.submit()
            await until(lambda: began)
            server_of(url).failing = {"renew": 10_000}
            await second.start()
            await until(lambda: len(began) == 2)
            server_of(url).failing = {}
            back.set()
            assert await handle.result(10) == "second"
            free.set()
            await until(lambda: first.engine.worker is not None and not first.engine.worker.running)
            assert await handle.result() == "second"
            await second.stop()
        assert began == ["first", "second"]
        assert f"{handle.id}" in caplog.text

    async def test_a_cancellation_reaches_a_worker_elsewhere(self, url: str) -> None:
        config = Config(broker=BrokerConfig(url=url, lease=0.6))
        backend = MemoryBackend()
        worker, operator = Flowrra(config, backend=backend), Flowrra(config, backend=backend)
        begun = asyncio.Event()

        @worker.task()
        async def hang() -> None:
            begun.set()
            await asyncio.Event().wait()

        async with worker:
            handle = await hang.submit()
            await begun.wait()
            await operator.start(workers=False)
            assert await operator.cancel(handle.id)
            assert await handle.status() is TaskStatus.CANCELLED
            await operator.stop()

    async def test_stop_while_the_server_is_away_ends(
        self, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What could not be settled runs again; it is said."""
        monkeypatch.setattr("flowrra.worker.worker.SETTLE_WITHIN", 0.2)
        app = Flowrra(Config(broker=BrokerConfig(url=url, lease=0.2)))
        runs: list[int] = []

        @app.task()
        async def work() -> str:
            runs.append(1)
            server_of(url).failing = {"settle": 10_000, "renew": 10_000} if len(runs) == 1 else {}
            return "done"

        await app.start()
        handle = await work.submit()
        await until(lambda: runs)
        await app.stop(timeout=1)
        assert "1 outcomes could not be stored; the tasks will run again" in caplog.text
        server_of(url).failing = {}
        async with app:
            assert await handle.result(10) == "done"
        assert len(runs) == 2


async def test_a_submission_is_idempotent_by_id() -> None:
    """The same message again, while it waits and after it ended, changes nothing."""
    app = Flowrra(broker=MemoryBroker())
    runs: list[int] = []

    @app.task("unknown")
    async def count() -> None:
        runs.append(1)

    task_id = await put(app)
    assert await put(app, id=task_id) == task_id
    assert await app.pending_count() == 1
    async with app:
        await app.wait_for_result(task_id, 10)
        await put(app, id=task_id)
        assert await app.pending_count() == 0
    assert runs == [1]


class BrokenStream:
    """An event stream whose server is away."""

    watched = True

    async def publish(self, events: object) -> None:
        raise TransientError("shared://user:hunter2@host went away")


class BackendWithBrokenStream(MemoryBackend):
    @property
    def stream(self) -> Any:
        return BrokenStream()


class Garbler(IOExecutor):
    """Returns bytes that nobody can read."""

    async def execute(self, call: Call) -> object:
        await super().execute(call)
        return EncodedValue(b"{garbled")


@pytest.fixture
def garbler() -> Iterator[str]:
    discovery.executors.register("garbler", Garbler)
    yield "garbler"
    discovery.executors.unregister("garbler")


async def test_events_that_cannot_be_sent_hold_up_no_task(caplog: pytest.LogCaptureFixture) -> None:
    app = Flowrra(backend=BackendWithBrokenStream())

    @app.task(retry_delay=0)
    async def work(n: int) -> int:
        if current_task().attempt == 1:
            raise ValueError
        return n

    async with app:
        handles = [await work.submit(n) for n in range(10)]
        assert [await handle.result(10) for handle in handles] == list(range(10))
        assert app.engine.worker is not None
        assert app.engine.worker.running == []
    assert "events are lost: TransientError" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_result_that_cannot_be_read_holds_up_no_task(garbler: str) -> None:
    app = Flowrra()

    @app.task(executor=garbler)
    async def bad() -> None: ...

    @app.task()
    async def good() -> str:
        return "good"

    async with app:
        stream = app.engine.connections.backend.stream
        assert stream is not None
        events = stream.events()
        listening = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        handle = await bad.submit()
        await listening
        for _ in range(3):
            assert await (await good.submit()).result(10) == "good"
        with pytest.raises(DecodingError):
            await handle.result(10)
        await events.aclose()
