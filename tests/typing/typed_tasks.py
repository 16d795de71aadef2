# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Types of tasks, handles and options. Read by the type checkers, never run."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, assert_type

from flowrra import Flowrra, Signature, Task, TaskHandle, TaskResult, TaskStatus

app = Flowrra()


@app.task()
async def add(a: int, b: int = 1) -> int:
    return a + b


@app.task(max_retries=5, retry_delay=2.0)
def join(words: Sequence[str], *, separator: str = " ") -> str:
    return separator.join(words)


@app.task(cpu_bound=True)
def count(n: int) -> list[float]:
    return [n / 2]


def make_key(user: int, *parts: str, **fields: float) -> str:
    return f"user-{user}"


@app.task("named", False, 3, 1.0, timeout=5, unique_key=make_key)
async def notify(user: int, *parts: str, **fields: float) -> None: ...


@app.task(retry_on=OSError, no_retry_on=(FileNotFoundError, PermissionError))
async def either(flag: bool) -> int | None:
    return 1 if flag else None


def tasks_are_generic_in_parameters_result_and_direct_call() -> None:
    of_coroutine: Task[..., int, Coroutine[Any, Any, int]] = add
    of_function: Task[[int], list[float], list[float]] = count
    assert_type(of_coroutine.name, str)
    assert_type(of_function(1), list[float])


async def direct_calls() -> None:
    assert_type(await add(1, 2), int)
    assert_type(await add(1), int)
    assert_type(await add(b=1, a=2), int)
    assert_type(join(["a"], separator=","), str)
    assert_type(count(3), list[float])
    assert_type(await notify(1, "a", x=1.5), None)
    assert_type(await either(True), int | None)


async def submissions() -> None:
    assert_type(await add.submit(1, 2), TaskHandle[int])
    assert_type(await add.submit(a=1), TaskHandle[int])
    assert_type(await join.submit(("a", "b"), separator="-"), TaskHandle[str])
    assert_type(await count.submit(3), TaskHandle[list[float]])
    assert_type(await notify.submit(1, "a", "b", x=1.5), TaskHandle[None])
    assert_type(await either.submit(True), TaskHandle[int | None])


async def handles() -> None:
    handle = await add.submit(1, 2)
    assert_type(handle.id, str)
    assert_type(await handle.result(), int)
    assert_type(await handle.result(timeout=1.5), int)
    assert_type(await handle.status(), TaskStatus | None)
    assert_type(await handle.cancel(), bool)
    await accepts_wider(handle)


async def accepts_wider(handle: TaskHandle[float]) -> None:
    assert_type(await handle.result(), float)


async def options_keep_the_parameters(eta: datetime) -> None:
    assert_type(await add.options(priority=3).submit(1, 2), TaskHandle[int])
    assert_type(await add.options(eta=eta, queue="q", timeout=1, unique_key="k").submit(1), TaskHandle[int])
    assert_type(await join.options(delay=5, expires=60, headers={"a": "b"}).submit(["a"]), TaskHandle[str])
    assert_type(add.options(priority=1).signature(1, b=2), Signature[int])


async def many() -> None:
    assert_type(add.signature(1, 2), Signature[int])
    assert_type(await app.submit_many([add.signature(1), add.signature(2)]), list[TaskHandle[int]])
    assert_type(await app.submit_many(join.signature([str(n)]) for n in range(3)), list[TaskHandle[str]])
    mixed: list[Signature[int | str]] = [add.signature(1), join.signature(["a"])]
    assert_type(await app.submit_many(mixed), list[TaskHandle[int | str]])


async def untyped_submissions() -> None:
    assert_type(await app.submit(add, 1, 2), str)
    assert_type(await app.submit("named", 1, priority=5), str)
    assert_type(await app.wait_for_result("id", timeout=10.0), TaskResult)
    assert_type(await app.get_result("id"), TaskResult | None)
    assert_type(await app.cancel("id"), bool)
    assert_type(await app.retry("id"), str)
    assert_type(await app.pending_count(), int)


def without_a_loop() -> None:
    assert_type(app.sync.submit(add, 1, 2), str)
    assert_type(app.sync.submit_many([count.signature(1)]), list[TaskHandle[list[float]]])
    assert_type(app.sync.wait_for_result("id"), TaskResult)
    assert_type(app.sync.get_result("id"), TaskResult | None)
    assert_type(app.sync.pending_count(), int)


async def the_application() -> None:
    async with Flowrra.from_urls(broker="memory://", backend=None) as running:
        assert_type(running, Flowrra)
        assert_type(running.is_running, bool)
    assert_type(await app.start(workers=False), None)
    assert_type(await app.stop(wait=True, timeout=30.0), None)
