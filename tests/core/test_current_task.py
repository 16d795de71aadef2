"""What a task can know and say of itself."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from executor_calls import until
from fake_clock import FakeClock

from flowrra import Flowrra, Progress, TaskStatus, current_task

KINDS = pytest.mark.parametrize("kind", ["io", "thread"])


def either(kind: str, function: Any) -> Any:
    """*function* itself for a thread, or a coroutine function around it."""

    async def on_the_loop(*args: Any) -> Any:
        return function(*args)

    return on_the_loop if kind == "io" else function


@KINDS
async def test_it_knows_itself(kind: str) -> None:
    app = Flowrra()

    def facts() -> list[object]:
        task = current_task()
        return [task.id, task.name, task.attempt, task.queue, task.priority, task.timeout, task.cancelled]

    task = app.task("facts", timeout=60, priority=2)(either(kind, facts))
    async with app:
        handle = await task.submit()
        assert await handle.result(10) == [handle.id, "facts", 1, "default", 2, 60, False]


async def test_its_deadline_is_the_time_of_its_timeout() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(timeout=90)
    async def limited() -> float | None:
        return current_task().deadline

    @app.task()
    async def unlimited() -> float | None:
        return current_task().deadline

    async with app:
        assert await (await limited.submit()).result() == clock.time() + 90
        assert await (await unlimited.submit()).result() is None


async def test_attempts_are_counted_from_one() -> None:
    app = Flowrra()
    seen: list[int] = []

    @app.task(max_retries=3, retry_delay=0)
    async def count() -> None:
        seen.append(current_task().attempt)
        raise ValueError

    async with app:
        await app.wait_for_result(await app.submit(count), 10)
    assert seen == [1, 2, 3, 4]


async def test_it_is_there_in_what_the_task_starts() -> None:
    """In coroutines, asyncio tasks and ``asyncio.to_thread``; not in a bare thread."""
    app = Flowrra()

    @app.task()
    async def look() -> list[object]:
        async def inside() -> str:
            return current_task().id

        seen: list[object] = [
            await inside(),
            await asyncio.create_task(inside()),
            await asyncio.to_thread(lambda: current_task().id),
        ]
        thread = threading.Thread(target=lambda: seen.append(is_outside()))
        thread.start()
        thread.join()
        return seen

    def is_outside() -> bool:
        try:
            current_task()
        except LookupError:
            return True
        return False

    async with app:
        handle = await look.submit()
        assert await handle.result(10) == [handle.id] * 3 + [True]
    assert is_outside()


@KINDS
async def test_progress_is_kept_with_the_run(kind: str) -> None:
    app = Flowrra()

    def work() -> None:
        for done in range(1, 4):
            current_task().progress(done, 3, message=f"step {done}")

    async with app:
        result = await app.wait_for_result(await app.submit(app.task("work")(either(kind, work))), 10)
    assert result.progress == Progress(done=3, total=3, message="step 3")


async def test_progress_is_seen_while_the_task_runs_and_at_most_once_a_second() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    steps: asyncio.Queue[int] = asyncio.Queue()

    @app.task()
    async def work() -> None:
        while step := await steps.get():
            current_task().progress(step)

    async def seen() -> float | None:
        result = await app.get_result(handle.id)
        assert result is not None
        return result.progress.done if result.progress else None

    async with app:
        handle = await work.submit()
        await clock.settle()
        assert await seen() is None
        steps.put_nowait(1)
        await clock.advance(0.01)
        assert await seen() == 1
        steps.put_nowait(2)
        steps.put_nowait(3)
        await clock.advance(0.5)
        assert await seen() == 1
        await clock.advance(0.5)
        assert await seen() == 3
        steps.put_nowait(0)
        await handle.result()
        assert await seen() == 3


@KINDS
async def test_log_lines_are_kept_and_carry_the_id(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = Flowrra()

    def work() -> None:
        log = current_task().log
        log.debug("kept but not logged")
        log.info("%d of %d", 1, 2)
        try:
            raise KeyError("k")
        except KeyError:
            log.exception("caught")

    async with app:
        handle = await app.task("work")(either(kind, work)).submit()
        result = await app.wait_for_result(handle.id, 10)
    [attempt] = result.attempts
    assert attempt.log is not None
    assert attempt.log.splitlines()[:3] == ["DEBUG kept but not logged", "INFO 1 of 2", "ERROR caught"]
    records = [record for record in caplog.records if record.name == "flowrra.task.work"]
    assert [record.getMessage() for record in records] == ["1 of 2", "caught"]
    assert {getattr(record, "task_id", None) for record in records} == {handle.id}
    assert {record.funcName for record in records} == {"work"}


async def test_the_newest_lines_are_kept_and_bounded() -> None:
    app = Flowrra()

    @app.task()
    async def chatty(count: int, size: int) -> None:
        for n in range(count):
            current_task().log.info("%d%s", n, "x" * size)

    async with app:
        many = await app.wait_for_result(await app.submit(chatty, 250, 0))
        long = await app.wait_for_result(await app.submit(chatty, 50, 1_000))
    assert (many.attempts[0].log or "").splitlines() == [f"INFO {n}" for n in range(150, 250)]
    assert len(long.attempts[0].log or "") <= 16 * 1024
    assert (long.attempts[0].log or "").splitlines()[-1].startswith("INFO 49x")


async def test_a_task_sees_that_it_is_cancelled() -> None:
    app = Flowrra()
    begun = threading.Event()

    @app.task()
    def patient() -> str:
        begun.set()
        while not current_task().cancelled:
            pass
        return "stopped early"

    async with app:
        handle = await patient.submit()
        await until(begun.is_set)
        assert await handle.cancel()
        assert await handle.status() is TaskStatus.CANCELLED
