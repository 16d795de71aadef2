"""What a task's definition decides, and what its submissions may decide instead."""

from __future__ import annotations

import asyncio
import functools
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from flowrra import Flowrra, Task, current_task


@pytest.mark.parametrize(
    ("options", "coroutine", "kind"),
    [
        ({}, True, "io"),
        ({}, False, "thread"),
        ({"executor": "io"}, True, "io"),
        ({"executor": "thread"}, False, "thread"),
    ],
)
def test_the_function_decides_where_it_runs(options: Any, coroutine: bool, kind: str) -> None:
    async def on_the_loop() -> None: ...

    def in_a_thread() -> None: ...

    assert Flowrra().task(**options)(on_the_loop if coroutine else in_a_thread).kind == kind


def module_level() -> None: ...


def test_cpu_bound_is_a_kind_of_executor() -> None:
    assert Flowrra().task(cpu_bound=True)(module_level).kind == "cpu"
    assert Flowrra().task("other", executor="cpu")(module_level).kind == "cpu"


async def test_a_plain_function_does_not_block_the_loop() -> None:
    app = Flowrra()
    turned = threading.Event()

    @app.task()
    def wait_for_the_loop() -> bool:
        return turned.wait(10)

    async with app:
        handle = await wait_for_the_loop.submit()
        await asyncio.sleep(0.01)
        turned.set()
        assert await handle.result(10) is True


async def test_a_decorated_function_is_what_it_wraps() -> None:
    """``functools.wraps`` around a coroutine function leaves it one."""
    app = Flowrra()

    def shout(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> str:
            return f"{await function(*args, **kwargs)}!"

        return wrapper

    @app.task()
    @shout
    async def greet(name: str) -> str:
        return f"hello {name}"

    assert (greet.kind, greet.name) == ("io", "greet")
    async with app:
        assert await (await greet.submit("ada")).result(10) == "hello ada!"


async def test_submissions_override_definitions_one_by_one() -> None:
    app = Flowrra()

    @app.task(priority=5, queue="mail", timeout=60, expires=600)
    async def facts() -> list[object]:
        task = current_task()
        return [task.priority, task.queue, task.timeout, dict(task.headers)]

    app.task("other", queue="other")(module_level)
    async with app:
        assert await (await facts.submit()).result() == [5, "mail", 60, {}]
        assert await (await facts.options(priority=-1).submit()).result() == [-1, "mail", 60, {}]
        handle = await facts.options(queue="other", timeout=2.5, headers={"a": "b"}).submit()
        assert await handle.result() == [5, "other", 2.5, {"a": "b"}]
        result = await app.wait_for_result(await app.submit(facts, priority=3))
        assert result.result == [3, "mail", 60, {}]
        assert (await app.wait_for_result(await app.submit(facts, priority=0))).priority == 0
    assert (facts.defaults.priority, facts.defaults.queue) == (5, "mail")


async def test_options_may_be_used_again() -> None:
    app = Flowrra()

    @app.task()
    async def echo(n: int) -> int:
        return n + current_task().priority

    urgent = echo.options(priority=-100)
    async with app:
        handles = [await urgent.submit(n) for n in (1, 2)]
        handles += await app.submit_many([urgent.signature(3), echo.signature(4)])
        assert [await handle.result() for handle in handles] == [-99, -98, -97, 4]


async def test_options_of_nothing_change_nothing() -> None:
    app = Flowrra()
    task = app.task(priority=3)(module_level)
    signature = task.options(priority=None, delay=None, eta=None, queue=None).signature()
    assert signature.options == task.defaults


@pytest.mark.parametrize("delay", [0, 0.0])
async def test_a_delay_of_nothing_may_stand_beside_an_eta(delay: float) -> None:
    task = Flowrra().task()(module_level)
    assert task.options(delay=delay, eta=datetime(2030, 1, 1, tzinfo=UTC)).signature().options.eta


async def test_two_names_for_one_function() -> None:
    app = Flowrra()

    async def work() -> str:
        return current_task().name

    first, second = app.task("first")(work), app.task("second", priority=-1)(work)
    async with app:
        assert await (await first.submit()).result() == "first"
        assert await (await second.submit()).result() == "second"


def test_methods_of_classes_may_be_static_tasks() -> None:
    app = Flowrra()

    class Jobs:
        @staticmethod
        @app.task()
        def work(n: int) -> int:
            return n + 1

    assert isinstance(Jobs.work, Task)
    assert Jobs.work(1) == 2


async def test_a_task_registered_after_the_start_runs_too() -> None:
    app = Flowrra()
    async with app:

        @app.task(queue="late")
        async def late() -> str:
            return "late"

        assert await (await late.submit()).result(10) == "late"


async def test_headers_are_text_and_travel_through_retries() -> None:
    app = Flowrra()
    seen: list[dict[str, str]] = []

    @app.task(retry_delay=0, max_retries=1)
    async def look() -> None:
        seen.append(dict(current_task().headers))
        raise ValueError

    headers = {"traceparent": "00-1", "grüße": "\U0001f40d"}
    async with app:
        handle = await look.options(headers=headers).submit()
        headers.clear()
        await app.wait_for_result(handle.id, 10)
    assert seen == [{"traceparent": "00-1", "grüße": "\U0001f40d"}] * 2


@pytest.mark.parametrize("headers", [{"a": 1}, {1: "a"}])
def test_headers_that_are_not_text_are_refused(headers: Any) -> None:
    task = Flowrra().task()(nothing)
    with pytest.raises(TypeError, match="names and values of headers must be text"):
        task.options(headers=headers)


async def nothing() -> None:
    """Do nothing."""
