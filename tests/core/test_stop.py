"""Stopping loses nothing: what runs may end, what doesn't is handed back, what waits stays."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import Counter

import pytest
from executor_calls import until
from fake_clock import FakeClock

from flowrra import Config, ExecutorConfig, Flowrra, TaskStatus


def small(workers: int = 10) -> Config:
    return Config(executor=ExecutorConfig(num_workers=workers, max_queue_size=5_000))


async def deliveries(app: Flowrra, task_id: str) -> int:
    """How often a task counts as handed out without an end."""
    [entry] = await app.engine.admin("look").find([task_id])
    assert entry is not None
    return entry.deliveries


async def test_a_thousand_queued_and_ten_running_lose_none() -> None:
    """Half of the running ones end in time and half do not: each task is finished, or counted as pending."""
    app = Flowrra(small())
    runs: Counter[int] = Counter()
    begun = asyncio.Event()
    ending, never = asyncio.Event(), asyncio.Event()

    @app.task()
    async def work(n: int) -> int:
        runs[n] += 1
        if runs.total() == 10:
            begun.set()
        await (ending if n % 2 else never).wait()
        return n

    await app.start()
    handles = await app.submit_many(work.signature(n) for n in range(1_010))
    await begun.wait()
    asyncio.get_running_loop().call_soon(ending.set)
    await app.stop(timeout=0.2)
    statuses = Counter([await handle.status() for handle in handles])
    assert statuses[TaskStatus.RUNNING] == 0
    assert statuses[TaskStatus.SUCCESS] == 5
    assert statuses[TaskStatus.PENDING] == await app.pending_count() == 1_005
    assert runs.total() == 10
    back = [handle for n, handle in enumerate(handles[:10]) if n % 2 == 0]
    assert [await deliveries(app, handle.id) for handle in back] == [0] * 5
    never.set()
    async with app:
        assert [await handle.result(30) for handle in handles] == list(range(1_010))
        assert await app.pending_count() == 0
    assert {n for n, count in runs.items() if count == 2} == {0, 2, 4, 6, 8}


async def test_stop_waits_for_what_runs_but_not_for_the_queue() -> None:
    app = Flowrra(small(2))
    begun, free = asyncio.Event(), asyncio.Event()

    @app.task()
    async def work() -> str:
        begun.set()
        await free.wait()
        return "done"

    await app.start()
    handles = [await work.submit() for _ in range(5)]
    await begun.wait()
    stopping = asyncio.ensure_future(app.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    free.set()
    await stopping
    assert [await handle.status() for handle in handles] == [TaskStatus.SUCCESS] * 2 + [
        TaskStatus.PENDING
    ] * 3


@pytest.mark.parametrize("kind", ["io", "thread"])
async def test_stop_without_waiting_hands_back_at_once(kind: str) -> None:
    """Uncounted, in its old place, and it runs again after the next start."""
    app = Flowrra(small(1))
    begun, free = threading.Event(), threading.Event()
    runs: list[int] = []

    async def work(n: int) -> int:
        begun.set()
        runs.append(n)
        await until(lambda: free.is_set())
        return n

    def work_in_a_thread(n: int) -> int:
        begun.set()
        runs.append(n)
        free.wait()
        return n

    task = app.task("work")(work if kind == "io" else work_in_a_thread)
    await app.start()
    first, second = await task.submit(1), await task.submit(2)
    await until(lambda: begun.is_set())
    await app.stop(wait=False)
    assert [await handle.status() for handle in (first, second)] == [TaskStatus.PENDING] * 2
    assert await deliveries(app, first.id) == 0
    free.set()
    async with app:
        assert [await handle.result(10) for handle in (first, second)] == [1, 2]
    assert runs == [1, 1, 2]


async def test_many_stops_count_no_delivery() -> None:
    """More stops than ``max_deliveries``: the task is not dead."""
    app = Flowrra(small(1))
    begun, free = asyncio.Event(), asyncio.Event()

    @app.task()
    async def work() -> str:
        begun.set()
        await free.wait()
        return "done"

    handle = await work.submit()
    for _ in range(8):
        begun.clear()
        await app.start()
        await begun.wait()
        await app.stop(wait=False)
    free.set()
    async with app:
        assert await handle.result(10) == "done"


async def test_a_task_that_will_not_end_is_handed_back_and_its_late_result_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Flowrra(small(1))
    begun, free = asyncio.Event(), asyncio.Event()

    @app.task()
    async def stubborn() -> str:
        begun.set()
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    await app.start()
    handle = await stubborn.submit()
    await begun.wait()
    await app.stop(timeout=0)
    assert await handle.status() is TaskStatus.PENDING
    assert f"task {handle.id} (stubborn) doesn't end; it is handed back" in caplog.text
    free.set()
    await asyncio.sleep(0.01)
    assert await handle.status() is TaskStatus.PENDING
    async with app:
        assert await handle.result(10) == "late"


async def test_a_retry_and_a_delay_survive_a_restart() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    calls: list[float] = []

    @app.task(retry_delay=60)
    async def second_time() -> str:
        calls.append(clock.time())
        if len(calls) == 1:
            raise ValueError
        return "done"

    @app.task()
    async def late() -> str:
        return "late"

    start = clock.time()
    async with app:
        handle = await second_time.submit()
        delayed = await late.options(delay=90).submit()
        await clock.settle()
    await clock.advance(30)
    async with app:
        await clock.advance(29)
        assert len(calls) == 1
        await clock.advance(31)
        assert await handle.result() == "done"
        assert await delayed.result() == "late"
    assert calls == [start, start + 60]


async def test_memory_says_how_much_is_left(caplog: pytest.LogCaptureFixture) -> None:
    app = Flowrra()

    @app.task()
    async def nothing() -> None: ...

    async with app:
        for _ in range(3):
            await nothing.options(delay=60).submit()
    assert "3 tasks are left in memory" in caplog.text
    caplog.clear()
    async with Flowrra():
        pass
    assert caplog.text == ""


async def test_submitting_while_it_stops_and_after() -> None:
    app = Flowrra(small(1))
    begun, free = asyncio.Event(), asyncio.Event()

    @app.task()
    async def work(n: int) -> int:
        begun.set()
        await free.wait()
        return n

    await app.start()
    handles = [await work.submit(0)]
    await begun.wait()
    stopping = asyncio.ensure_future(app.stop())
    await asyncio.sleep(0)
    handles.append(await work.submit(1))
    free.set()
    await stopping
    handles.append(await work.submit(2))
    assert await app.pending_count() == 2
    async with app:
        assert [await handle.result(10) for handle in handles] == [0, 1, 2]


async def test_an_error_inside_async_with_stops_the_application() -> None:
    app = Flowrra()

    @app.task()
    async def nothing() -> None: ...

    async def use() -> None:
        async with app:
            await (await nothing.submit()).result()
            raise KeyError

    with pytest.raises(KeyError):
        await use()
    assert not app.is_running
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_nothing_is_left_after_stop() -> None:
    """No thread, no asyncio task, with all kinds of executors used."""
    before = set(threading.enumerate())
    app = Flowrra()
    io = app.task("io")(asyncio.sleep)
    thread = app.task("thread")(lambda: threading.current_thread().name)
    async with app:
        await (await io.submit(0)).result()
        assert (await (await thread.submit()).result()).startswith("flowrra-thread")
    gc.collect()
    left = {each.name for each in set(threading.enumerate()) - before}
    assert left <= {"flowrra-background"}
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_start_that_fails_leaves_nothing_started() -> None:
    app = Flowrra()
    app.task("odd", executor="no-such-kind")(lambda: None)
    with pytest.raises(LookupError, match="no executor of kind 'no-such-kind'; installed: cpu, io, thread"):
        await app.start()
    assert not app.is_running
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_stopping_while_starting_is_harmless(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    app = Flowrra()

    @app.task()
    async def one() -> int:
        return 1

    for _ in range(20):
        starting = asyncio.ensure_future(app.start())
        await asyncio.sleep(0)
        await app.stop(wait=False)
        await starting
        await app.stop()
    assert not app.is_running
    async with app:
        assert await (await one.submit()).result(10) == 1
