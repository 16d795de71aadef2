"""Middleware: around every task, in order, on every kind of executor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from flowrra import Call, Flowrra, TaskStatus, current_task
from flowrra.worker.observer import Runner

connection: ContextVar[str] = ContextVar("connection", default="none")


async def test_the_first_is_the_outermost() -> None:
    app = Flowrra()
    steps: list[str] = []

    def named(name: str) -> None:
        async def around(call: Call, following: Runner) -> object:
            steps.append(f"{name} before {call.name}")
            try:
                return await following(call)
            finally:
                steps.append(f"{name} after")

        app.middleware.append(around)

    for name in ("outer", "inner"):
        named(name)

    @app.task()
    async def work() -> None:
        steps.append("work")

    async with app:
        await (await work.submit()).result()
    assert steps == ["outer before work", "inner before work", "work", "inner after", "outer after"]


@pytest.mark.parametrize("kind", ["io", "thread"])
async def test_what_middleware_sets_up_is_seen_by_the_task(kind: str) -> None:
    """Context variables reach a thread as well; as a database session or ``app_context`` needs it."""
    app = Flowrra()
    closed: list[str] = []

    @contextlib.asynccontextmanager
    async def session(name: str) -> AsyncIterator[None]:
        token = connection.set(name)
        yield
        connection.reset(token)
        closed.append(name)

    async def with_session(call: Call, following: Runner) -> object:
        async with session(f"session of {call.name}"):
            return await following(call)

    async def work() -> str:
        return connection.get()

    def work_in_a_thread() -> str:
        return connection.get()

    app.middleware.append(with_session)
    task = app.task("work")(work if kind == "io" else work_in_a_thread)
    async with app:
        assert await (await task.submit()).result(10) == "session of work"
    assert closed == ["session of work"]
    assert connection.get() == "none"


async def test_middleware_may_change_the_value_or_answer_itself() -> None:
    app = Flowrra()
    ran: list[int] = []

    async def change(call: Call, following: Runner) -> object:
        if call.headers.get("cached"):
            return int(call.headers["cached"])
        return [await following(call)]

    @app.task()
    async def echo(n: int) -> int:
        ran.append(n)
        return n

    app.middleware.append(change)
    async with app:
        assert (await app.wait_for_result(await app.submit(echo, 1))).result == [1]
        handle = await echo.options(headers={"cached": "7"}).submit(2)
        assert await handle.result() == 7
    assert ran == [1]


async def test_middleware_sees_errors_and_may_swallow_them() -> None:
    app = Flowrra()
    seen: list[str] = []

    async def forgive(call: Call, following: Runner) -> object:
        try:
            return await following(call)
        except ValueError as error:
            seen.append(str(error))
            return "forgiven"

    @app.task(max_retries=0)
    async def fail(kind: str) -> None:
        raise {"ValueError": ValueError, "KeyError": KeyError}[kind](kind)

    app.middleware.append(forgive)
    async with app:
        first = await app.wait_for_result((await fail.submit("ValueError")).id)
        second = await app.wait_for_result((await fail.submit("KeyError")).id)
    assert (first.status, first.result) == (TaskStatus.SUCCESS, "forgiven")
    assert second.error == "KeyError: 'KeyError'"
    assert seen == ["ValueError"]


async def test_middleware_that_fails_fails_the_task_only() -> None:
    app = Flowrra()

    async def broken(call: Call, following: Runner) -> object:
        if call.attempt == 1:
            raise RuntimeError("no database")
        return await following(call)

    @app.task(retry_delay=0)
    async def work() -> str:
        return "done"

    app.middleware.append(broken)
    async with app:
        result = await app.wait_for_result(await app.submit(work), 10)
    assert (result.result, result.retries) == ("done", 1)
    assert result.attempts[0].error == "RuntimeError: no database"


async def test_a_timeout_and_a_cancellation_pass_through_middleware() -> None:
    app = Flowrra()
    ends: list[str] = []
    begun = asyncio.Event()

    async def watch(call: Call, following: Runner) -> object:
        try:
            return await following(call)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    @app.task(max_retries=0)
    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    app.middleware.append(watch)
    async with app:
        handle = await hang.options(timeout=0.01).submit()
        result = await app.wait_for_result(handle.id, 10)
        assert (result.error or "").startswith("TaskTimeoutError")
        begun.clear()
        handle = await hang.submit()
        await begun.wait()
        assert await handle.cancel()
    assert ends == ["cancelled", "cancelled"]


async def test_a_result_that_middleware_makes_unencodable_fails_once() -> None:
    app = Flowrra()

    async def spoil(call: Call, following: Runner) -> object:
        await following(call)
        return object()

    @app.task(retry_delay=0)
    async def work() -> str:
        return "done"

    app.middleware.append(spoil)
    async with app:
        result = await app.wait_for_result(await app.submit(work), 10)
    assert (result.status, result.retries) == (TaskStatus.FAILED, 0)


@pytest.mark.parametrize("kind", ["io", "thread"])
async def test_every_task_has_a_context_of_its_own(kind: str) -> None:
    """Nothing of the submitter's context arrives, and nothing that one task sets reaches the next."""
    app = Flowrra()

    def look(value: str) -> list[str]:
        before = connection.get()
        connection.set(value)
        return [before, connection.get(), current_task().headers.get("trace", "-")]

    async def look_on_the_loop(value: str) -> list[str]:
        seen = look(value)
        await asyncio.sleep(0)
        return [*seen, connection.get()][:2] + seen[2:]

    task = app.task("look")(look_on_the_loop if kind == "io" else look)
    connection.set("the submitter's")
    async with app:
        handles = [await task.options(headers={"trace": str(n)}).submit(f"v{n}") for n in range(200)]
        seen = [await handle.result(10) for handle in handles]
    assert seen == [["none", f"v{n}", str(n)] for n in range(200)]
    assert connection.get() == "the submitter's"
