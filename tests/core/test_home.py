"""One application and many loops and threads: where calls run, and that none is lost on the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from executor_calls import until

from flowrra import Config, ExecutorConfig, Flowrra, TaskStatus


def in_a_thread(function: Callable[[], Any]) -> asyncio.Future[Any]:
    """Call *function* in a thread without a loop."""
    return asyncio.get_running_loop().run_in_executor(None, function)


def adding(**options: Any) -> tuple[Flowrra, Any]:
    app = Flowrra(**options)

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    return app, add


async def test_every_call_has_a_blocking_twin() -> None:
    app, add = adding()

    def use() -> None:
        task_id = app.sync.submit(add, 1, 2)
        assert app.sync.wait_for_result(task_id, timeout=10).result == 3
        found = app.sync.get_result(task_id)
        assert found is not None
        assert found.result == 3
        assert app.sync.cancel(task_id) is False
        again = app.sync.retry(task_id)
        assert app.sync.wait_for_result(again).retry_of == task_id
        handles = app.sync.submit_many([add.signature(n, n) for n in range(3)])
        assert [app.sync.wait_for_result(handle.id).result for handle in handles] == [0, 2, 4]
        assert app.sync.pending_count() == 0
        with pytest.raises(LookupError):
            app.sync.wait_for_result("nobody")

    async with app:
        await in_a_thread(use)


async def test_calls_from_other_loops() -> None:
    """As ``asyncio.run`` in a view does, or ``async_to_sync``."""
    app, add = adding()

    async def use(n: int) -> int:
        handle = await add.submit(n, n)
        assert await app.get_result(handle.id)
        return await handle.result(10)

    async with app:
        doubled = await asyncio.gather(*(in_a_thread(lambda n=n: asyncio.run(use(n))) for n in range(20)))
    assert doubled == [n + n for n in range(20)]


async def test_coroutines_run_on_the_loop_that_started_the_application() -> None:
    app = Flowrra()
    home = asyncio.get_running_loop()

    @app.task()
    async def where() -> bool:
        return asyncio.get_running_loop() is home

    async with app:
        task_id = await in_a_thread(lambda: app.sync.submit(where))
        assert (await app.wait_for_result(task_id)).result is True


def test_before_the_start_everything_but_work_is_there() -> None:
    app, add = adding()
    task_id = app.sync.submit(add, 1, 2)
    assert app.sync.pending_count() == 1
    found = app.sync.get_result(task_id)
    assert found is not None
    assert found.status is TaskStatus.PENDING

    async def work() -> int:
        async with app:
            return (await app.wait_for_result(task_id, 10)).result

    assert asyncio.run(work()) == 3
    found = app.sync.get_result(task_id)
    assert found is not None
    assert found.result == 3


def test_an_application_may_live_on_one_loop_after_the_other() -> None:
    app, add = adding()

    async def work(n: int) -> int:
        async with app:
            return await (await add.submit(n, 1)).result(10)

    assert [asyncio.run(work(n)) for n in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["io", "thread"])
@pytest.mark.parametrize("noticed", ["by a call", "at the start"])
def test_a_loop_that_ends_without_stop_loses_nothing(
    kind: str, noticed: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What ran is handed back uncounted, what waited still waits; it is said once."""
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)))
    free: list[bool] = []
    runs: list[int] = []

    async def on_the_loop(n: int) -> int:
        runs.append(n)
        await until(lambda: free)
        return n

    def in_a_thread(n: int) -> int:
        runs.append(n)
        while not free:
            time.sleep(0.001)
        return n

    work = app.task("work")(on_the_loop if kind == "io" else in_a_thread)

    async def forgetful() -> list[str]:
        await app.start()
        ids = [await app.submit(work, n) for n in range(6)]
        await until(lambda: runs)
        return ids

    ids = asyncio.run(forgetful())
    if noticed == "by a call":
        found = [app.sync.get_result(task_id) for task_id in ids]
        assert [each and each.status for each in found] == [TaskStatus.PENDING] * 6
        assert app.sync.pending_count() == 6
        assert not app.is_running
        ids.append(app.sync.submit(work, 6))
    free.append(True)

    async def finish() -> list[int]:
        async with app:
            return [(await app.wait_for_result(task_id, 10)).result for task_id in ids]

    assert asyncio.run(finish()) == list(range(len(ids)))
    assert runs == [0, *range(len(ids))]
    said = [record for record in caplog.records if "closed without app.stop()" in record.getMessage()]
    assert len(said) == 1


@pytest.mark.parametrize("ends", ["with stop", "without stop"])
@pytest.mark.parametrize("how", ["sync", "other loop"])
def test_whoever_waits_elsewhere_goes_on_waiting_when_the_application_moves(ends: str, how: str) -> None:
    """A thread waits for a result; the application's loop ends, and another one brings the result."""
    app = Flowrra()
    free: list[bool] = []
    begun = threading.Event()

    @app.task()
    async def work() -> str:
        begun.set()
        await until(lambda: free)
        return "done"

    async def first() -> str:
        await app.start()
        task_id = await app.submit(work)
        waits = {
            "sync": lambda: app.sync.wait_for_result(task_id, 30),
            "other loop": lambda: asyncio.run(app.wait_for_result(task_id, 30)),
        }
        waiting.extend(pool.submit(waits[how]) for _ in range(4))
        await until(lambda: begun.is_set())
        await asyncio.sleep(0.05)
        if ends == "with stop":
            await app.stop(wait=False)
        return task_id

    async def second(task_id: str) -> None:
        async with app:
            free.append(True)
            await app.wait_for_result(task_id, 10)

    waiting: list[Any] = []
    with ThreadPoolExecutor(4) as pool:
        task_id = asyncio.run(first())
        asyncio.run(second(task_id))
        assert [each.result(20).result for each in waiting] == ["done"] * 4


async def test_stop_from_another_thread() -> None:
    app, add = adding()
    await app.start()
    await (await add.submit(1, 1)).result()
    await in_a_thread(lambda: asyncio.run(app.stop()))
    assert not app.is_running
    async with app:
        assert await (await add.submit(1, 1)).result() == 2


async def test_a_start_from_another_loop_while_it_runs_changes_nothing() -> None:
    app, add = adding()
    async with app:
        await in_a_thread(lambda: asyncio.run(app.start()))
        assert await (await add.submit(1, 1)).result(10) == 2


async def test_a_task_may_submit_and_wait() -> None:
    """On the loop and from a thread."""
    app, add = adding()

    @app.task()
    async def outer(n: int) -> int:
        return await (await add.submit(n, 1)).result(10)

    @app.task()
    def outer_in_a_thread(n: int) -> int:
        return app.sync.wait_for_result(app.sync.submit(add, n, 1), 10).result

    async with app:
        assert await (await outer.submit(1)).result(10) == 2
        assert await (await outer_in_a_thread.submit(1)).result(10) == 2


async def test_a_thread_task_that_submits_blocking_from_a_loop_of_its_own() -> None:
    app, add = adding()

    @app.task()
    def with_a_loop(n: int) -> int:
        async def inside() -> int:
            return await (await add.submit(n, 1)).result(10)

        return asyncio.run(inside())

    async with app:
        assert await (await with_a_loop.submit(4)).result(10) == 5


async def test_there_is_one_background_loop_for_all_applications() -> None:
    for _ in range(5):
        _, add = adding()
        await add.submit(1, 1)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("flowrra-background") == 1


FORK = """
import asyncio, os, sys
from flowrra import Flowrra

app = Flowrra()

@app.task()
async def add(a, b):
    return a + b

async def use():
    async with app:
        handle = await add.submit(2, 3)
        return await handle.result(10)

def child():
    assert not app.is_running
    assert app.sync.pending_count() == 0, "inherited tasks"
    assert asyncio.run(use()) == 5
    assert asyncio.run(app.get_result(waiting)) is None

async def parent():
    global waiting
    async with app:
        waiting = (await add.options(delay=3600).submit(1, 1)).id
        before = await add.submit(1, 2)
        pid = os.fork()
        if pid == 0:
            try:
                asyncio._set_running_loop(None)
                child()
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert await before.result(10) == 3
        assert await app.pending_count() == 1
        assert await app.cancel(waiting)
    print("ok")

app.sync.submit(add, 0, 0)
asyncio.run(parent())
"""


def test_a_forked_child_is_unstarted_with_an_empty_queue() -> None:
    """And the parent goes on as if nothing had happened."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("ok\n", "", 0)
