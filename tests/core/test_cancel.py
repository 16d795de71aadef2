"""Cancelling: what waits at once, what runs as far as its executor can, and never what has ended."""

from __future__ import annotations

import asyncio
import threading

import pytest
from executor_calls import until
from fake_clock import FakeClock

from flowrra import Config, ExecutorConfig, Flowrra, TaskCancelledError, TaskStatus, current_task


def one_worker() -> Config:
    return Config(executor=ExecutorConfig(num_workers=1))


@pytest.mark.parametrize("place", ["waiting", "delayed", "retrying"])
async def test_what_does_not_run_is_cancelled_at_once(place: str) -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    runs: list[int] = []

    @app.task(retry_delay=10)
    async def work() -> None:
        runs.append(1)
        raise ValueError

    if place == "retrying":
        await app.start()
    handle = await work.options(delay=10 if place == "delayed" else None).submit()
    if place == "retrying":
        await clock.settle()
        assert await handle.status() is TaskStatus.RETRYING
    before = len(runs)
    assert await handle.cancel()
    result = await app.wait_for_result(handle.id)
    assert (result.status, result.error) == (TaskStatus.CANCELLED, "cancelled by request")
    assert await app.pending_count() == 0
    if place != "retrying":
        await app.start()
    await clock.advance(60)
    await app.stop()
    assert len(runs) == before


async def test_a_running_coroutine_is_cancelled_and_may_clean_up() -> None:
    app = Flowrra(one_worker())
    begun, cleaned = asyncio.Event(), asyncio.Event()

    @app.task()
    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            assert current_task().cancelled
            await asyncio.sleep(0)
            cleaned.set()

    async with app:
        handle = await work.submit()
        await begun.wait()
        waiting = asyncio.ensure_future(handle.result())
        assert await handle.cancel()
        assert cleaned.is_set()
        with pytest.raises(TaskCancelledError):
            await waiting
        assert await handle.status() is TaskStatus.CANCELLED
        assert app.executors["io"].pending_count() == 0


async def test_a_thread_is_asked_and_its_slot_stays_taken_until_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Flowrra(one_worker())
    begun, free = threading.Event(), threading.Event()

    @app.task()
    def work() -> None:
        begun.set()
        while not current_task().cancelled:
            pass
        free.wait()

    async with app:
        handle = await work.submit()
        await until(lambda: begun.is_set())
        assert await handle.cancel()
        assert await handle.status() is TaskStatus.CANCELLED
        assert app.executors["thread"].room() == 0
        free.set()
        await until(lambda: not app.executors["thread"].pending_count())
        assert app.executors["thread"].room() == 1
    assert f"task 'work' ({handle.id}) was given up but its thread runs on" in caplog.text


async def test_a_final_state_never_changes() -> None:
    app = Flowrra()

    @app.task(max_retries=0)
    async def work(fail: bool) -> str:
        if fail:
            raise ValueError
        return "done"

    async with app:
        for fail, status in ((False, TaskStatus.SUCCESS), (True, TaskStatus.FAILED)):
            handle = await work.submit(fail)
            await app.wait_for_result(handle.id)
            assert not await handle.cancel()
            assert await handle.status() is status
        handle = await work.options(delay=60).submit(False)
        assert await handle.cancel()
        assert not await handle.cancel()
        assert await handle.status() is TaskStatus.CANCELLED
        assert not await app.cancel("nobody")


async def test_a_cancelled_task_is_not_retried() -> None:
    app = Flowrra()
    begun = asyncio.Event()
    runs: list[int] = []

    @app.task(max_retries=5, retry_delay=0)
    async def work() -> None:
        runs.append(1)
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("not so") from None

    async with app:
        handle = await work.submit()
        await begun.wait()
        assert await handle.cancel()
        result = await app.wait_for_result(handle.id)
    assert (result.status, result.error) == (TaskStatus.CANCELLED, "cancelled by request")
    assert runs == [1]


async def test_a_task_that_does_not_listen_is_not_cancelled_yet() -> None:
    """``cancel`` says so after the next renewal's time; the task's end is its own."""
    clock = FakeClock()
    app = Flowrra(one_worker(), clock=clock)
    begun, free = asyncio.Event(), asyncio.Event()

    @app.task()
    async def stubborn() -> str:
        begun.set()
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue
        return "done"

    async with app:
        handle = await stubborn.submit()
        await begun.wait()
        cancelling = asyncio.ensure_future(handle.cancel())
        await clock.advance(60)
        assert await cancelling is False
        assert await handle.status() is TaskStatus.RUNNING
        free.set()
        result = await app.wait_for_result(handle.id)
    assert result.is_complete


async def test_cancelling_races_with_the_end() -> None:
    """Exactly one final state, and ``cancel`` tells which."""
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=20)))

    @app.task()
    async def turn(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    async def race(turns: int, delay: int) -> None:
        handle = await turn.submit(turns)
        for _ in range(delay):
            await asyncio.sleep(0)
        took_effect = await handle.cancel()
        result = await app.wait_for_result(handle.id, 10)
        assert result.status is (TaskStatus.CANCELLED if took_effect else TaskStatus.SUCCESS)
        assert (await app.get_result(handle.id)) == result

    async with app:
        await asyncio.gather(*(race(n % 7, n % 23) for n in range(500)))


async def test_a_task_may_cancel_itself_and_others() -> None:
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=2)))

    @app.task()
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    @app.task()
    async def cancel(task_id: str) -> bool:
        return await app.cancel(task_id)

    async with app:
        victim = await wait_for_ever.submit()
        assert await (await cancel.submit(victim.id)).result(10)
        assert await victim.status() is TaskStatus.CANCELLED
