"""The executor of plain functions."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest
from executor_calls import error_of, make_call, until

from flowrra.call import current_task
from flowrra.config import ExecutorConfig
from flowrra.exceptions import DecodingError, ExecutorCrashedError
from flowrra.executors.thread import ThreadExecutor

outer: ContextVar[str] = ContextVar("outer")


@pytest.fixture(autouse=True)
def others() -> None:
    """Remember the threads that other tests have left behind on purpose."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


OTHERS: set[threading.Thread] = set()


def names() -> list[str]:
    """This test's threads that there are."""
    new = [thread.name for thread in threading.enumerate() if thread not in OTHERS]
    return sorted(name for name in new if name.startswith("flowrra-thread"))


@pytest.fixture
async def executor() -> AsyncIterator[ThreadExecutor]:
    """Two slots; no thread may be left in the end."""
    made = ThreadExecutor(ExecutorConfig(num_workers=2))
    await made.start()
    yield made
    await made.stop(60)
    assert names() == []


class Stuck:
    """A function that returns when it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Semaphore(0), threading.Event()

    @property
    def function(self) -> Callable[[], str]:
        def stuck() -> str:
            self.entered.release()
            self.let_go.wait()
            return "done"

        return stuck

    async def inside(self, count: int = 1) -> None:
        for _ in range(count):
            await until(lambda: self.entered.acquire(blocking=False))


async def test_runs_in_a_thread_with_its_call_and_the_callers_context(executor: ThreadExecutor) -> None:
    def look() -> list[Any]:
        return [current_task().id, outer.get(), threading.current_thread().name]

    outer.set("seen")
    call = make_call(look)
    assert await executor.execute(call) == [call.id, "seen", "flowrra-thread-1"]


async def test_what_a_function_sets_in_its_context_stays_there(executor: ThreadExecutor) -> None:
    def change() -> None:
        outer.set("changed")

    outer.set("before")
    await executor.execute(make_call(change))
    assert outer.get() == "before"


async def test_threads_are_started_as_needed_and_reused(executor: ThreadExecutor) -> None:
    assert names() == []
    for n in range(5):
        assert await executor.execute(make_call(int, n)) == n
    assert names() == ["flowrra-thread-1"]
    assert await asyncio.gather(*(executor.execute(make_call(int, n)) for n in range(50))) == list(range(50))
    assert names() == ["flowrra-thread-1", "flowrra-thread-2"]


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
async def test_raises_what_the_function_raised(executor: ThreadExecutor, error: BaseException) -> None:
    def fail() -> None:
        raise error

    assert await error_of(executor.execute(make_call(fail))) is error
    assert (executor.room(), executor.pending_count()) == (2, 0)


async def test_stop_iteration_is_an_error_like_others(executor: ThreadExecutor) -> None:
    assert isinstance(await error_of(executor.execute(make_call(next, []))), TypeError)

    def fail() -> None:
        next(iter(()))

    assert "StopIteration" in str(await error_of(executor.execute(make_call(fail))))


async def test_damaged_arguments_fail_the_call(executor: ThreadExecutor) -> None:
    call = make_call(int)
    call._body = b"\xff"
    assert isinstance(await error_of(executor.execute(call)), DecodingError)


async def test_an_awaitable_is_no_result(executor: ThreadExecutor) -> None:
    """It is closed too, or the test would fail by the warning that it was never awaited."""

    def forgot() -> Any:
        return asyncio.sleep(0)

    error = await error_of(executor.execute(make_call(forgot)))
    assert isinstance(error, TypeError)
    assert str(error) == (
        "task 'forgot' is a plain function but returned an awaitable (coroutine); "
        "make it async def and await there"
    )


async def test_a_given_up_call_keeps_its_slot_until_its_thread_ends(
    executor: ThreadExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowrra")
    stuck, call = Stuck(), make_call(int)
    call.task.function = stuck.function
    running = asyncio.create_task(executor.execute(call))
    await stuck.inside()
    running.cancel()
    assert isinstance(await error_of(running), asyncio.CancelledError)
    assert call.cancelled
    assert (executor.room(), executor.pending_count()) == (1, 1)
    assert [(each.levelname, each.task_id) for each in caplog.records] == [("WARNING", call.id)]
    assert f"task 'int' ({call.id}) was given up" in caplog.text

    assert await executor.execute(make_call(int, 7)) == 7
    stuck.let_go.set()
    await until(lambda: executor.room() == 2)
    assert [(each.levelname, each.task_id) for each in caplog.records][1:] == [("INFO", call.id)]


async def test_a_function_sees_that_it_is_given_up(executor: ThreadExecutor) -> None:
    entered, seen = threading.Event(), threading.Event()

    def watch() -> None:
        entered.set()
        while not current_task().cancelled:
            pass
        seen.set()

    running = asyncio.create_task(executor.execute(make_call(watch)))
    await until(entered.is_set)
    running.cancel()
    await until(seen.is_set)


async def test_a_call_that_is_given_up_before_its_thread_began_does_not_run(executor: ThreadExecutor) -> None:
    ran: list[int] = []
    calls = [asyncio.create_task(executor.execute(make_call(ran.append, n))) for n in range(50)]
    await asyncio.sleep(0)
    for call in calls[2:]:
        call.cancel()
    await asyncio.wait(calls)
    await until(lambda: executor.pending_count() == 0)
    assert sorted(ran) == [0, 1]


async def test_more_calls_than_threads_wait_their_turn_and_can_be_cancelled_there(
    executor: ThreadExecutor,
) -> None:
    stuck = Stuck()
    calls = [asyncio.create_task(executor.execute(make_call(stuck.function))) for _ in range(4)]
    await stuck.inside(2)
    assert (executor.room(), executor.pending_count()) == (0, 4)
    calls[2].cancel()
    await asyncio.wait([calls[2]])
    assert executor.pending_count() == 3
    stuck.let_go.set()
    assert await asyncio.gather(calls[0], calls[1], calls[3]) == ["done"] * 3


async def test_stop_gives_up_what_outlives_the_grace() -> None:
    executor, stuck = ThreadExecutor(ExecutorConfig(num_workers=1)), Stuck()
    calls = [asyncio.create_task(executor.execute(make_call(stuck.function))) for _ in range(2)]
    await stuck.inside()
    await executor.stop(0)
    assert [type(await error_of(call)) for call in calls] == [ExecutorCrashedError] * 2
    stuck.let_go.set()
    await until(lambda: names() == [])


async def test_threads_end_with_an_executor_that_nobody_stopped() -> None:
    """As after a loop that was closed without ``app.stop()``."""
    executor = ThreadExecutor(ExecutorConfig(num_workers=1))
    assert await executor.execute(make_call(int, 1)) == 1
    assert names() == ["flowrra-thread-1"]
    del executor
    gc.collect()
    await until(lambda: names() == [])


async def test_it_can_be_started_again() -> None:
    executor = ThreadExecutor(ExecutorConfig(num_workers=1))
    for n in range(3):
        await executor.start()
        assert await executor.execute(make_call(int, n)) == n
        await executor.stop(60)
        assert names() == []


def test_a_coroutine_function_is_refused_with_the_way_out() -> None:
    async def work() -> None:
        """Belongs on the loop."""

    executor = ThreadExecutor(ExecutorConfig())
    with pytest.raises(
        TypeError, match=r"executor 'thread' needs a plain def: .*work' is async def; leave the"
    ):
        executor.check(work)
    executor.check(names)


STUCK_AT_EXIT = """
import asyncio, threading
from executor_calls import make_call
from flowrra.config import ExecutorConfig
from flowrra.executors.thread import ThreadExecutor

entered = threading.Event()

def stuck():
    entered.set()
    threading.Event().wait()

async def main():
    running = asyncio.create_task(ThreadExecutor(ExecutorConfig()).execute(make_call(stuck)))
    await asyncio.to_thread(entered.wait)
    running.cancel()

asyncio.run(main())
print("ended")
"""


def test_a_stuck_thread_does_not_hold_up_the_interpreters_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    done = subprocess.run([sys.executable, "-c", STUCK_AT_EXIT], capture_output=True, text=True, check=True)
    assert done.stdout == "ended\n"
