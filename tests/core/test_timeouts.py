"""Time limits: per attempt, retried like an error, on every kind of executor."""

from __future__ import annotations

import asyncio
import threading

import pytest
from executor_calls import until
from fake_clock import FakeClock

from flowrra import Config, ExecutorConfig, Flowrra, TaskStatus, current_task


async def test_an_attempt_that_takes_too_long_fails() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    cleaned: list[float] = []

    @app.task(timeout=30, max_retries=0)
    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(clock.time())

    async with app:
        start = clock.time()
        handle = await hang.submit()
        await clock.advance(29.75)
        assert await handle.status() is TaskStatus.RUNNING
        await clock.advance(0.25)
        result = await app.wait_for_result(handle.id)
    assert (result.status, result.error) == (
        TaskStatus.FAILED,
        "TaskTimeoutError: the attempt took longer than its timeout of 30 s",
    )
    assert cleaned == [start + 30]


async def test_every_attempt_has_its_own_limit() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(timeout=10, retry_delay=5, max_retries=2)
    async def third_time() -> str:
        if current_task().attempt < 3:
            await asyncio.Event().wait()
        return "done"

    async with app:
        handle = await third_time.submit()
        for passing, status in (
            (10, TaskStatus.RETRYING),
            (5, TaskStatus.RUNNING),
            (10, TaskStatus.RETRYING),
            (10, TaskStatus.SUCCESS),
        ):
            await clock.advance(passing)
            assert await handle.status() is status
        result = await app.wait_for_result(handle.id)
    assert (result.result, result.retries) == ("done", 2)


@pytest.mark.parametrize(("option", "retries"), [("retry_on", 1), ("no_retry_on", 0)])
async def test_retry_settings_know_a_timeout(option: str, retries: int) -> None:
    """As ``TimeoutError``, which it is."""
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(timeout=1, max_retries=1, retry_delay=0, **{option: TimeoutError})  # type: ignore[arg-type]
    async def hang() -> None:
        await asyncio.Event().wait()

    async with app:
        handle = await hang.submit()
        await clock.advance(10)
        result = await app.wait_for_result(handle.id)
    assert (result.status, result.retries) == (TaskStatus.FAILED, retries)


async def test_an_own_timeout_inside_a_task_is_the_tasks_affair() -> None:
    app = Flowrra()

    @app.task(timeout=60, max_retries=0)
    async def careful() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "in time"
        return "never"

    async with app:
        assert await (await careful.submit()).result(10) == "in time"


async def test_a_task_that_swallows_its_cancellation_has_timed_out_all_the_same() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(timeout=5, max_retries=0)
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "I go on"
        return "never"

    async with app:
        handle = await stubborn.submit()
        await clock.advance(5)
        result = await app.wait_for_result(handle.id)
    assert (result.status, result.result) == (TaskStatus.FAILED, None)
    assert (result.error or "").startswith("TaskTimeoutError")


async def test_a_task_that_ends_in_time_is_left_alone() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    free = asyncio.Event()

    @app.task(timeout=5)
    async def work() -> str:
        await free.wait()
        return "done"

    async with app:
        handles = [await work.submit() for _ in range(4)]
        await clock.advance(4.75)
        free.set()
        assert [await handle.result() for handle in handles] == ["done"] * 4
        await clock.advance(60)
        assert [await handle.status() for handle in handles] == [TaskStatus.SUCCESS] * 4


async def test_a_thread_cannot_be_killed_but_its_task_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The thread is told and reported; its slot stays taken until the function returns."""
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=2)), clock=clock)
    begun, told, free = threading.Event(), threading.Event(), threading.Event()

    @app.task(max_retries=0, timeout=60)
    def hang() -> None:
        begun.set()
        while not current_task().cancelled:
            pass
        told.set()
        free.wait()

    @app.task()
    def quick() -> str:
        return "quick"

    async with app:
        handle = await hang.submit()
        await until(begun.is_set)
        await clock.advance(60)
        result = await app.wait_for_result(handle.id)
        assert result.error == "TaskTimeoutError: the attempt took longer than its timeout of 60 s"
        assert app.executors["thread"].room() == 1
        assert await (await quick.submit()).result() == "quick"
        await until(told.is_set)
        free.set()
        await until(lambda: not app.executors["thread"].pending_count())
        assert app.executors["thread"].room() == 2
    assert "its slot stays taken until the function returns" in caplog.text


async def test_a_limit_of_nothing_leaves_no_time() -> None:
    app = Flowrra()

    @app.task(timeout=0, max_retries=0)
    async def hang() -> None:
        await asyncio.Event().wait()

    async with app:
        result = await app.wait_for_result((await hang.submit()).id, 10)
    assert (result.error or "").startswith("TaskTimeoutError")
