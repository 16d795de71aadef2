"""The fixtures for tests of applications, and the clock that they move."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from flowrra.app import Flowrra
from flowrra.clock import Clock, sleep
from flowrra.config import BrokerConfig, Config, ExecutorConfig
from flowrra.exceptions import QueueFullError
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.result import TaskResult
from flowrra.status import TaskStatus
from flowrra.testing import FakeClock, isolated

Move = Callable[..., Awaitable[list[TaskResult]]]
Check = Callable[..., Awaitable[str]]

pytest_plugins = ["pytester"]


def values(results: list[TaskResult]) -> list[Any]:
    assert all(result.is_success for result in results)
    return [result.result for result in results]


async def test_the_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(start=1000.0)
    standing: Clock = clock
    before = standing.time(), standing.monotonic()
    await asyncio.sleep(0)
    assert before == (1000.0, clock.monotonic())
    await clock.advance(2.5)
    assert (clock.time(), clock.monotonic() - before[1]) == (1002.5, 2.5)


async def test_the_clock_stops_at_every_timer_and_at_those_that_it_sets() -> None:
    clock, seen = FakeClock(), list[float]()
    start = clock.monotonic()

    def ring() -> None:
        seen.append(clock.monotonic() - start)
        if len(seen) < 5:
            clock.call_later(1.0, ring)

    clock.call_later(0.5, ring)
    clock.call_later(2.0, lambda: seen.append(-1.0))
    clock.call_later(1.0, lambda: seen.append(-2.0)).cancel()
    await clock.advance(3.0)
    assert seen == [0.5, 1.5, -1.0, 2.5]
    await clock.advance(0.5)
    assert seen[-1] == 3.5


async def test_what_a_timer_wakes_goes_on_before_the_next_timer() -> None:
    clock, seen = FakeClock(), list[float]()
    start = clock.monotonic()

    async def walk(pace: float) -> None:
        while True:
            await sleep(clock, pace)
            await asyncio.sleep(0)
            seen.append(clock.monotonic() - start)

    walkers = [asyncio.create_task(walk(pace)) for pace in (2.0, 3.0)]
    await clock.advance(6.5)
    assert seen == [2.0, 3.0, 4.0, 6.0, 6.0]
    for walker in walkers:
        walker.cancel()
    await asyncio.wait(walkers)


async def test_decimal_fractions_add_up() -> None:
    clock, rung = FakeClock(), list[int]()
    clock.call_later(0.3, lambda: rung.append(1))
    for _ in range(3):
        await clock.advance(0.1)
    assert rung == [1]


async def test_time_does_not_go_backwards() -> None:
    with pytest.raises(ValueError, match=r"time can't go backwards: advance\(-1\)"):
        await FakeClock().advance(-1)


async def test_a_timer_rings_on_the_loop_that_set_it() -> None:
    clock, loops = FakeClock(), list[object]()

    async def set_timer() -> asyncio.AbstractEventLoop:
        clock.call_later(1.0, lambda: loops.append(asyncio.get_running_loop()))
        return asyncio.get_running_loop()

    other = asyncio.new_event_loop()
    await asyncio.to_thread(other.run_until_complete, set_timer())
    await clock.advance(1.0)
    assert loops == []
    await asyncio.to_thread(other.run_until_complete, asyncio.sleep(0))
    assert loops == [other]
    other.close()


async def test_drain_runs_what_is_ready_and_what_that_submits(flowrra_app: Flowrra, drain: Move) -> None:
    @flowrra_app.task()
    async def count_down(n: int) -> int:
        if n:
            await count_down.submit(n - 1)
        return n

    await count_down.submit(3)
    await count_down.options(delay=5).submit(100)
    assert values(await drain()) == [3, 2, 1, 0]
    assert await flowrra_app.pending_count() == 1
    assert await drain() == []
    assert not flowrra_app.is_running


async def test_drain_waits_for_threads(flowrra_app: Flowrra, drain: Move) -> None:
    @flowrra_app.task()
    def double(n: int) -> int:
        time.sleep(0.001)
        return n * 2

    handles = [await double.submit(n) for n in range(20)]
    assert sorted(values(await drain())) == [n * 2 for n in range(20)]
    assert await handles[3].result() == 6


async def test_drain_leaves_paused_queues_alone(flowrra_app: Flowrra, drain: Move) -> None:
    @flowrra_app.task()
    async def work() -> None: ...

    await work.submit()
    await flowrra_app.engine.admin("pause").pause("default")
    assert await drain() == []


async def test_drain_gives_up_on_what_never_ends(flowrra_app: Flowrra, drain: Move) -> None:
    @flowrra_app.task()
    async def hang() -> None:
        await asyncio.Event().wait()

    handle = await hang.submit()
    with pytest.raises(TimeoutError, match=rf"tasks don't end within 0\.01 s: {handle.id}"):
        await drain(timeout=0.01)
    assert await handle.status() is TaskStatus.PENDING


async def test_advance_runs_delays_and_retries_at_their_times(
    flowrra_app: Flowrra, flowrra_clock: FakeClock, advance: Move
) -> None:
    start, times = flowrra_clock.time(), list[float]()

    @flowrra_app.task(max_retries=5, retry_delay=2)
    async def fail() -> None:
        times.append(flowrra_clock.time() - start)
        raise ValueError("never works")

    handle = await fail.options(delay=10).submit()
    assert await advance(9.9) == []
    assert await handle.status() is TaskStatus.SCHEDULED
    await advance(0.1)
    assert await handle.status() is TaskStatus.RETRYING
    [result] = await advance(62)
    assert times == [10, 12, 16, 24, 40, 72]
    assert (result.status, result.error, result.retries) == (TaskStatus.FAILED, "ValueError: never works", 5)


async def test_advance_runs_out_a_time_limit(flowrra_app: Flowrra, advance: Move) -> None:
    @flowrra_app.task(timeout=5, max_retries=0)
    async def hang() -> None:
        await asyncio.Event().wait()

    await hang.submit()
    [result] = await advance(5)
    assert result.status is TaskStatus.FAILED
    assert result.error == "TaskTimeoutError: the attempt took longer than its timeout of 5 s"


async def test_advance_waits_for_threads_before_time_goes_on(flowrra_app: Flowrra, advance: Move) -> None:
    @flowrra_app.task(timeout=0.5)
    def slow() -> str:
        time.sleep(0.02)
        return "in time"

    await slow.submit()
    await slow.options(delay=3600).submit()
    assert values(await advance(3600)) == ["in time", "in time"]


async def test_assert_enqueued_finds_what_waits(
    flowrra_app: Flowrra, assert_enqueued: Check, refute_enqueued: Check, drain: Move
) -> None:
    @flowrra_app.task()
    async def send(to: str, times: tuple[int, ...] = ()) -> None: ...

    first = await send.submit("ann", times=(1, 2))
    later = await send.options(delay=60, queue="mail").submit("bob")
    assert await assert_enqueued(send) == first.id
    assert await assert_enqueued("send", args=("ann",), kwargs={"times": (1, 2)}) == first.id
    assert await assert_enqueued(send, args=["bob"]) == later.id
    assert await assert_enqueued(send, queue="mail") == later.id
    await refute_enqueued(send, args=("ann",), queue="mail")
    await refute_enqueued(send, args=("ann",), kwargs={})
    await drain()
    await refute_enqueued(send, queue="default")


async def test_a_failed_assertion_lists_what_waits(
    flowrra_app: Flowrra, assert_enqueued: Check, refute_enqueued: Check
) -> None:
    @flowrra_app.task()
    async def send(to: str, subject: str = "") -> None: ...

    with pytest.raises(AssertionError, match=r"^task 'send' doesn't wait; waiting: nothing$"):
        await assert_enqueued(send)
    handle = await send.submit("ann", subject="hello")
    wanted = r"^task 'send' with args=\('bob',\), queue='mail' doesn't wait; "
    with pytest.raises(
        AssertionError, match=wanted + r"waiting: send\('ann', subject='hello'\) in 'default'$"
    ):
        await assert_enqueued(send, args=("bob",), queue="mail")
    with pytest.raises(
        AssertionError, match=rf"send\('ann', subject='hello'\) .* waits, with id {handle.id}"
    ):
        await refute_enqueued(send)


async def test_a_started_application_goes_on_working(
    flowrra_app: Flowrra, drain: Move, advance: Move
) -> None:
    @flowrra_app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    async with flowrra_app:
        first = await add.submit(1, 2)
        second = await add.options(delay=1).submit(2, 3)
        assert values(await drain()) == [3]
        assert values(await advance(1)) == [5]
        assert flowrra_app.is_running
        assert (await first.result(), await second.result()) == (3, 5)


async def test_a_producer_stays_a_producer(flowrra_app: Flowrra, drain: Move) -> None:
    @flowrra_app.task()
    async def work() -> int:
        return 1

    await flowrra_app.start(workers=False)
    await work.submit()
    assert values(await drain()) == [1]
    assert flowrra_app.is_running
    assert flowrra_app.engine.worker is None
    await flowrra_app.stop()


async def test_isolated_swaps_an_application_in_place_and_back() -> None:
    broker, backend = MemoryBroker(), MemoryBackend()
    config = Config(broker=BrokerConfig(url="memory://", lease=7), executor=ExecutorConfig(max_queue_size=2))
    app = Flowrra(config, broker=broker, backend=backend)

    @app.task()
    async def work() -> str:
        return "done"

    outside = await work.submit()
    engine = app.engine
    with isolated(app) as same:
        assert same is app
        assert app.engine.connections.broker is not broker
        assert app.engine.connections.broker_config.lease == 7
        assert await app.get_result(outside.id) is None
        await work.submit()
        await work.submit()
        with pytest.raises(QueueFullError, match="is full"):
            await work.submit()
    assert app.engine is engine
    assert app.engine.connections.broker is broker
    assert await app.pending_count() == 1
    async with app:
        assert await outside.result() == "done"


async def test_isolated_leaves_a_started_application_running() -> None:
    app = Flowrra()

    @app.task()
    async def work() -> str:
        return "done"

    async with app:
        with contextlib.suppress(KeyError), isolated(app):
            assert not app.is_running
            raise KeyError
        assert app.is_running
        assert await (await work.submit()).result() == "done"


async def test_an_application_that_is_not_isolated_is_refused() -> None:
    from flowrra.testing import AppDriver

    with pytest.raises(TypeError, match=r"yield flowrra\.testing\.isolated\(app, flowrra_clock\)"):
        await AppDriver(Flowrra(), FakeClock()).drain()


def test_the_fixtures_work_in_a_strange_project(pytester: pytest.Pytester) -> None:
    """With an application of one's own, and without any plugin for async tests."""
    pytester.makepyfile(
        tasks="""
        from flowrra import Flowrra
        app = Flowrra.from_urls("memory://")

        @app.task(retry_delay=60)
        def fail(): raise ValueError("no")
        """,
        test_them="""
        import asyncio, pytest, tasks
        from flowrra.testing import isolated

        @pytest.fixture
        def flowrra_app(flowrra_clock):
            with isolated(tasks.app, flowrra_clock) as app:
                yield app

        def test_retries(assert_enqueued, drain, advance):
            async def main():
                await tasks.fail.submit()
                await assert_enqueued(tasks.fail)
                assert await drain() == []
                [result] = await advance(420)
                assert result.retries == 3
            asyncio.run(main())
        """,
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:asyncio", "-p", "no:randomly", "-W", "error")
    result.assert_outcomes(passed=1)


def test_the_plugin_brings_no_hypothesis_and_no_asyncio_plugin(tmp_path: Path) -> None:
    """What every pytest run imports is small."""
    code = (
        "import sys, flowrra.testing.plugin as p; "
        "print([n for n in ('hypothesis', 'pytest_asyncio', 'flowrra.testing.broker') if n in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert out.stdout == "[]\n"
