"""Retries: when, how often, after which errors, and that a waiting one holds up nobody."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from fake_clock import FakeClock

from flowrra import Config, ExecutorConfig, Flowrra, TaskStatus, current_task


async def run_out(app: Flowrra, clock: FakeClock, task_id: str) -> list[float]:
    """Let a task fail for good; the delays before its retries."""
    delays: list[float] = []
    while True:
        await clock.settle()
        result = await app.get_result(task_id)
        assert result is not None
        if result.is_complete:
            return delays
        assert result.due_at is not None
        delays.append(result.due_at.timestamp() - clock.time())
        await clock.advance(delays[-1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2, 4]),
        ({"max_retries": 0}, []),
        ({"max_retries": 5, "retry_delay": 2.0}, [2, 4, 8, 16, 32]),
        ({"max_retries": 6, "retry_delay": 10, "max_retry_delay": 60}, [10, 20, 40, 60, 60, 60]),
        ({"max_retries": 2, "retry_delay": 0.5}, [0.5, 1]),
        ({"max_retries": 14, "retry_delay": 1}, [*(2**n for n in range(12)), 3600, 3600]),
    ],
    ids=["defaults", "none", "doubled", "capped", "fractions", "an hour at most"],
)
async def test_delays(options: dict[str, float], expected: list[float]) -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(**options)  # type: ignore[arg-type]
    async def fail() -> None:
        raise OSError("no")

    async with app:
        handle = await fail.submit()
        assert await run_out(app, clock, handle.id) == expected
        result = await app.wait_for_result(handle.id)
    assert (result.status, result.retries) == (TaskStatus.FAILED, len(expected))


async def test_the_configuration_says_what_a_task_does_not() -> None:
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(max_retries=2, retry_delay=7)), clock=clock)

    @app.task()
    async def fail() -> None:
        raise OSError

    @app.task(max_retries=1)
    async def fail_twice() -> None:
        raise OSError

    async with app:
        assert await run_out(app, clock, await app.submit(fail)) == [7, 14]
        assert await run_out(app, clock, await app.submit(fail_twice)) == [7]


async def test_jitter_only_adds() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(max_retries=8, retry_delay=4, max_retry_delay=4, retry_jitter=0.5)
    async def fail() -> None:
        raise OSError

    async with app:
        delays = await run_out(app, clock, await app.submit(fail))
    assert all(4 <= delay <= 6 for delay in delays)
    assert len(set(delays)) > 1


@pytest.mark.parametrize("kind", ["io", "thread"])
@pytest.mark.parametrize(
    ("error", "retries"),
    [(ConnectionError("a"), 2), (TimeoutError("b"), 2), (FileNotFoundError("c"), 0), (ValueError("d"), 0)],
    ids=lambda value: type(value).__name__,
)
async def test_only_some_errors_are_worth_a_retry(kind: str, error: Exception, retries: int) -> None:
    """``no_retry_on`` beats ``retry_on``; subclasses count."""
    app = Flowrra()
    options = {"max_retries": 2, "retry_delay": 0, "retry_on": OSError, "no_retry_on": (FileNotFoundError,)}

    async def fail() -> None:
        raise error

    def fail_in_a_thread() -> None:
        raise error

    task = app.task("fail", **options)(fail if kind == "io" else fail_in_a_thread)  # type: ignore[arg-type]
    async with app:
        result = await app.wait_for_result((await task.submit()).id, 10)
    assert (result.status, result.retries) == (TaskStatus.FAILED, retries)
    assert result.error == f"{type(error).__name__}: {error}"


async def test_every_attempt_is_kept() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task(max_retries=2, retry_delay=10)
    async def third_time() -> int:
        number = current_task().attempt
        current_task().log.info("this is number %d", number)
        if number < 3:
            raise ValueError(f"number {number}")
        return number

    async with app:
        handle = await third_time.submit()
        await clock.advance(30)
        result = await app.wait_for_result(handle.id)
    assert (result.result, result.retries, result.error) == (3, 2, None)
    assert [attempt.number for attempt in result.attempts] == [1, 2, 3]
    assert [attempt.error for attempt in result.attempts] == [
        "ValueError: number 1",
        "ValueError: number 2",
        None,
    ]
    assert [attempt.log for attempt in result.attempts] == [f"INFO this is number {n}" for n in (1, 2, 3)]
    starts = [attempt.started_at.timestamp() for attempt in result.attempts]
    assert [later - starts[0] for later in starts] == [0, 10, 30]
    assert all('raise ValueError(f"number' in (attempt.traceback or "") for attempt in result.attempts[:2])


async def test_a_retrying_task_shows_its_last_error() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task()
    async def fail() -> None:
        raise ValueError("for now")

    async with app:
        handle = await fail.submit()
        await clock.settle()
        result = await app.get_result(handle.id)
        assert result is not None
        assert (result.status, result.error, result.retries) == (
            TaskStatus.RETRYING,
            "ValueError: for now",
            1,
        )
        assert "raise ValueError" in (result.traceback or "")
        assert await app.pending_count() == 1


async def test_waiting_retries_hold_no_worker() -> None:
    """One worker; a hundred tasks fail and wait for five seconds; the next runs before any time passes."""
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)), clock=clock)

    @app.task(retry_delay=5)
    async def fail_once() -> int:
        if current_task().attempt == 1:
            raise ValueError
        return 1

    @app.task()
    async def good() -> str:
        return "good"

    async with app:
        before = clock.time()
        failing = await app.submit_many(fail_once.signature() for _ in range(100))
        assert await (await good.submit()).result() == "good"
        assert clock.time() == before
        assert {await handle.status() for handle in failing} == {TaskStatus.RETRYING}
        await clock.advance(5)
        assert [await handle.result() for handle in failing] == [1] * 100
        assert clock.time() == before + 5


async def test_retries_into_a_full_queue_do_not_block() -> None:
    """A queue of two, two workers, 300 tasks that fail twice each and good ones between them."""
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=2, max_queue_size=2)))
    attempts: Counter[int] = Counter()

    @app.task(max_retries=3, retry_delay=0.001)
    async def flaky(n: int) -> int:
        attempts[n] += 1
        await asyncio.sleep(0)
        if n % 3 and attempts[n] < 3:
            raise ValueError
        return n

    async with app:
        handles = await asyncio.gather(*(flaky.submit(n) for n in range(450)))
        assert [await handle.result() for handle in handles] == list(range(450))
    assert attempts == {n: 3 if n % 3 else 1 for n in range(450)}


async def test_300_retrying_tasks_and_a_full_queue_end() -> None:
    """Retries fill the queue over its bound; new tasks wait until there is room, then all end."""
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=4, max_queue_size=300)), clock=clock)

    @app.task(max_retries=2, retry_delay=30)
    async def fail_twice() -> int:
        if current_task().attempt < 3:
            raise ValueError
        return 1

    @app.task()
    async def good() -> str:
        return "good"

    async with app:
        failing = await app.submit_many(fail_twice.signature() for _ in range(300))
        await clock.advance(1)
        assert await app.pending_count() == 300
        late = [asyncio.ensure_future(good.submit()) for _ in range(20)]
        await clock.advance(4)
        assert not any(submit.done() for submit in late)
        for submit in late[10:]:
            submit.cancel()
        await clock.advance(100)
        outcomes = await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(outcome, Exception | asyncio.CancelledError) for outcome in outcomes)
        assert [await handle.result() for handle in failing] == [1] * 300
        assert await (await good.submit()).result() == "good"


async def test_a_retry_joins_behind_its_priority() -> None:
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)), clock=clock)
    order: list[str] = []

    @app.task(retry_delay=1)
    async def note(name: str) -> None:
        order.append(name)
        if name == "fails" and order.count(name) == 1:
            raise ValueError
        await asyncio.sleep(0)

    async with app:
        await note.options(priority=5).submit("fails")
        await clock.settle()
        await note.options(priority=5, delay=1).submit("same")
        await note.options(priority=9, delay=1).submit("later")
        await note.options(priority=1, delay=1).submit("sooner")
        await clock.advance(1)
    assert order == ["fails", "sooner", "fails", "same", "later"]


async def test_a_finished_task_can_be_run_again() -> None:
    """Under a new id, with the same arguments and options; the new one names the old."""
    app = Flowrra()
    outcomes = iter([ValueError("first"), "second"])

    @app.task(max_retries=0, priority=7)
    async def once_more(n: int, *, text: str) -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return [outcome, n, text]

    async with app:
        first = await app.wait_for_result(await app.submit(once_more, 1, text="t"))
        assert first.status is TaskStatus.FAILED
        second = await app.wait_for_result(await app.retry(first.task_id))
    assert second.result == ["second", 1, "t"]
    assert (second.retry_of, second.priority, second.retries) == (first.task_id, 7, 0)
    assert second.task_id != first.task_id
