"""What is known of a task, before, while and after it runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fake_clock import FakeClock

from flowrra import (
    BackendConfig,
    Config,
    ExecutorConfig,
    Flowrra,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskStatus,
    TaskTimeoutError,
    current_task,
)


def keeping(**options: Any) -> Config:
    return Config(backend=BackendConfig(url="memory://", **options))


async def test_every_status_on_the_way() -> None:
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)), clock=clock)
    free = asyncio.Event()

    @app.task()
    async def work() -> str:
        await free.wait()
        if current_task().attempt == 1:
            raise ValueError("once")
        return "done"

    first = await work.submit()
    assert await first.status() is TaskStatus.PENDING
    async with app:
        await clock.settle()
        assert await first.status() is TaskStatus.RUNNING
        later = await work.options(delay=10).submit()
        assert await later.status() is TaskStatus.SCHEDULED
        free.set()
        await clock.settle()
        assert await first.status() is TaskStatus.RETRYING
        await clock.advance(1)
        assert await first.status() is TaskStatus.SUCCESS
        assert await later.cancel()
        assert await later.status() is TaskStatus.CANCELLED
        failing = await app.task("fail", max_retries=0)(lambda: 1 / 0).submit()
        result = await app.wait_for_result(failing.id)
        assert result.status is TaskStatus.FAILED


async def test_all_facts_of_a_finished_task() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    free = asyncio.Event()

    @app.task(queue="mail")
    async def send(to: str, *, copies: int) -> int:
        await free.wait()
        return copies

    async with app:
        start = clock.time()
        task_id = await app.submit(send, "ada", copies=2, priority=-3)
        await clock.advance(4)
        free.set()
        result = await app.wait_for_result(task_id)
    assert (result.task_id, result.task_name, result.status) == (task_id, "send", TaskStatus.SUCCESS)
    assert (result.result, result.error, result.traceback, result.retries) == (2, None, None, 0)
    assert (result.args, result.kwargs) == (("ada",), {"copies": 2})
    assert (result.priority, result.queue) == (-3, "mail")
    moments = (result.submitted_at, result.started_at, result.finished_at)
    assert moments == tuple(datetime.fromtimestamp(start + offset, UTC) for offset in (0, 0, 4))
    assert result.worker
    assert (result.progress, result.dead_reason, result.retry_of, result.due_at) == (None, None, None, None)


async def test_times_never_run_backwards() -> None:
    """By the machine's own clock."""
    app = Flowrra()

    @app.task()
    async def nothing() -> None: ...

    async with app:
        handles = await app.submit_many(nothing.signature() for _ in range(50))
        for handle in handles:
            result = await app.wait_for_result(handle.id)
            assert result.submitted_at is not None
            assert result.started_at is not None
            assert result.finished_at is not None
            assert result.submitted_at <= result.started_at <= result.finished_at
            assert result.submitted_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize("kind", ["io", "thread"])
@pytest.mark.parametrize(
    "value",
    [
        None, True, 2**200, -0.5, "text", "\U0001f40d", b"\x00\xff", [1, [2]], {"a": {"$b": 1}}, (1, (2, 3)),
        {1, 2}, frozenset({"x"}), datetime(2030, 1, 1, tzinfo=UTC), date(2030, 1, 1), timedelta(days=-1),
        UUID(int=5), Decimal("1.10"),
    ],
    ids=repr,
)  # fmt: skip
async def test_values_come_through_and_keep_their_types(kind: str, value: object) -> None:
    app = Flowrra()

    async def echo(value: Any) -> Any:
        return [value, type(value).__name__]

    def echo_in_a_thread(value: Any) -> Any:
        return [value, type(value).__name__]

    task = app.task("echo")(echo if kind == "io" else echo_in_a_thread)
    async with app:
        handle = await task.submit(value)
        assert await handle.result(10) == [value, type(value).__name__]


async def test_a_result_is_a_copy() -> None:
    """In memory too, what a task changes afterwards changes nothing."""
    app = Flowrra()
    kept: list[list[int]] = []

    @app.task()
    async def give(numbers: list[int]) -> list[int]:
        kept.append(numbers)
        return numbers

    async with app:
        numbers = [1]
        handle = await give.submit(numbers)
        numbers.append(2)
        assert await handle.result() == [1]
        kept[0].append(3)
        assert await handle.result() == [1]


async def test_waiting_before_during_and_after() -> None:
    app = Flowrra()

    @app.task()
    async def one() -> int:
        await asyncio.sleep(0)
        return 1

    handle = await one.submit()
    async with app:
        waiting = [asyncio.ensure_future(handle.result()) for _ in range(50)]
        await asyncio.sleep(0)
        waiting += [asyncio.ensure_future(handle.result()) for _ in range(50)]
        assert await asyncio.gather(*waiting) == [1] * 100
        assert await handle.result(timeout=0) == 1


async def test_no_wake_up_is_lost(soaked: Any) -> None:
    """Waiters that come at any moment around the end of their task all return."""
    app = Flowrra()

    @app.task()
    async def turn(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    async def look(turns: int, delay: int) -> int:
        handle = await turn.submit(turns)
        for _ in range(delay):
            await asyncio.sleep(0)
        return await handle.result(30)

    async with app:
        for _ in range(soaked(1_000)):
            pairs = [(n % 5, n % 17) for n in range(10)]
            assert await asyncio.gather(*(look(*pair) for pair in pairs)) == [turns for turns, _ in pairs]


async def test_a_wait_that_takes_too_long_leaves_the_task_alone() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    free = asyncio.Event()

    @app.task()
    async def slow() -> str:
        await free.wait()
        return "done"

    async with app:
        handle = await slow.submit()
        waiting = asyncio.ensure_future(app.wait_for_result(handle.id, timeout=5))
        await clock.advance(4.75)
        assert not waiting.done()
        await clock.advance(0.25)
        with pytest.raises(TaskTimeoutError, match=rf"task {handle.id} \(slow\) has no result after 5 s"):
            await waiting
        with pytest.raises(TimeoutError):
            await handle.result(timeout=0)
        assert await handle.status() is TaskStatus.RUNNING
        free.set()
        assert await handle.result() == "done"


async def test_a_cancelled_wait_leaves_the_task_alone() -> None:
    app = Flowrra()
    free = asyncio.Event()

    @app.task()
    async def slow() -> str:
        await free.wait()
        return "done"

    async with app:
        handle = await slow.submit()
        waiting = asyncio.ensure_future(handle.result(60))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        free.set()
        assert await handle.result() == "done"


async def test_an_unknown_id() -> None:
    app = Flowrra()
    async with app:
        assert await app.get_result("nobody") is None
        assert await app.cancel("nobody") is False
        with pytest.raises(LookupError) as caught:
            await app.wait_for_result("nobody")
        with pytest.raises(TaskNotFoundError):
            await app.retry("nobody")
    assert type(caught.value) is TaskNotFoundError
    assert str(caught.value) == "no task with id 'nobody': it was never submitted, or its result has expired"


async def test_a_handle_raises_what_became_of_its_task() -> None:
    app = Flowrra()

    @app.task(max_retries=0)
    async def fail() -> None:
        raise KeyError("k")

    waiting = await fail.submit()
    assert await waiting.cancel()
    with pytest.raises(TaskCancelledError) as cancelled:
        await waiting.result()
    assert str(cancelled.value) == f"task 'fail' ({waiting.id}) was cancelled: cancelled by request"
    async with app:
        handle = await fail.submit()
        with pytest.raises(TaskFailedError) as failed:
            await handle.result()
    assert str(failed.value) == f"task 'fail' ({handle.id}) failed: KeyError: 'k'"
    assert (failed.value.task_id, failed.value.task_name, failed.value.error) == (
        handle.id,
        "fail",
        "KeyError: 'k'",
    )


async def test_a_traceback_shows_the_tasks_own_lines() -> None:
    app = Flowrra()

    def inner() -> None:
        raise ValueError("deep inside")

    @app.task(max_retries=0)
    async def fail() -> None:
        inner()

    async with app:
        result = await app.wait_for_result(await app.submit(fail))
    assert result.traceback is not None
    assert result.traceback.startswith("Traceback (most recent call last):\n")
    assert result.traceback.rstrip().endswith("ValueError: deep inside")
    assert "in inner" in result.traceback
    assert "flowrra-core" not in result.traceback


async def test_only_an_unfinished_task_cannot_be_run_again() -> None:
    app = Flowrra()

    @app.task()
    async def nothing() -> None: ...

    handle = await nothing.submit()
    with pytest.raises(
        ValueError, match=f"task {handle.id} is pending; only a finished task can be run again"
    ):
        await app.retry(handle.id)


async def test_results_expire() -> None:
    clock = FakeClock()
    app = Flowrra(keeping(ttl=60), clock=clock)

    @app.task()
    async def one() -> int:
        return 1

    async with app:
        handle = await one.submit()
        assert await handle.result() == 1
        await clock.advance(59)
        assert await handle.status() is TaskStatus.SUCCESS
        await clock.advance(1)
        assert await handle.status() is None
        with pytest.raises(TaskNotFoundError):
            await handle.result()


async def test_the_history_is_bounded() -> None:
    app = Flowrra(keeping(history_limit=10))

    @app.task()
    async def echo(n: int) -> int:
        return n

    async with app:
        handles = []
        for n in range(25):
            handles.append(await echo.submit(n))
            await handles[-1].result()
        kept = [n for n, handle in enumerate(handles) if await handle.status() is not None]
    assert kept == list(range(15, 25))


@pytest.mark.parametrize("kind", ["io", "thread"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), "EncodingError: the result"),
        ({"deep": [1, {1: 2}]}, "EncodingError: the result"),
        (float("nan"), "EncodingError: the result"),
        (TaskStatus.FAILED, "EncodingError: the result"),
        ("x" * (1024 * 1024), "PayloadTooLargeError: the result"),
    ],
    ids=["object", "integer key", "NaN", "Enum", "too large"],
)
async def test_a_result_that_cannot_be_kept_fails_once(kind: str, value: object, error: str) -> None:
    """Whatever the retries; and the worker lives."""
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)))
    executions: list[int] = []

    async def give() -> object:
        executions.append(1)
        return value

    def give_in_a_thread() -> object:
        executions.append(1)
        return value

    task = app.task("give", max_retries=5, retry_delay=0)(give if kind == "io" else give_in_a_thread)
    good = app.task("good")(lambda: "good")
    async with app:
        for _ in range(8):
            result = await app.wait_for_result(await app.submit(task), 10)
            assert (result.status, result.retries) == (TaskStatus.FAILED, 0)
            assert (result.error or "").startswith(error)
        assert await (await good.submit()).result(10) == "good"
    assert len(executions) == 8


async def test_error_texts_are_bounded() -> None:
    app = Flowrra()

    @app.task(max_retries=0)
    async def shout() -> None:
        raise ValueError("x" * 5_000_000)

    async with app:
        result = await app.wait_for_result(await app.submit(shout))
    assert result.error is not None
    assert result.error.startswith("ValueError: xxx")
    assert len(result.error.encode()) <= 16 * 1024
    assert len((result.traceback or "").encode()) <= 16 * 1024
