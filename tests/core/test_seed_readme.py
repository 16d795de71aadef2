"""What the first readme of the project promises, example by example, but for Redis, schedules and pages."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from itertools import pairwise
from typing import Any

import pytest
from fake_clock import FakeClock

import flowrra
from flowrra import (
    BackendConfig,
    BrokerConfig,
    Config,
    ExecutorConfig,
    Flowrra,
    InMemoryBackend,
    TaskResult,
    TaskStatus,
)


async def test_basic_use() -> None:
    """Two tasks on the event loop, one of them with retry settings; submit, then wait for the result."""
    app = Flowrra.from_urls()
    sent: list[tuple[str, str]] = []

    @app.task()
    async def notify(to: str, subject: str) -> dict[str, str]:
        sent.append((to, subject))
        return {"status": "sent", "to": to}

    @app.task(max_retries=5, retry_delay=2.0)
    async def download(url: str) -> dict[str, str]:
        return {"from": url}

    async with app:
        first = await app.submit(notify, "ada@example.org", "Hello")
        second = await app.submit(download, "https://example.org")
        result = await app.wait_for_result(first, timeout=10.0)
        assert (result.status, result.result) == (
            TaskStatus.SUCCESS,
            {"status": "sent", "to": "ada@example.org"},
        )
        assert (await app.wait_for_result(second, timeout=10.0)).result == {"from": "https://example.org"}
    assert sent == [("ada@example.org", "Hello")]


async def test_a_task_may_have_a_name_of_its_own() -> None:
    app = Flowrra.from_urls()

    @app.task(name="custom_name", max_retries=3, retry_delay=1.0)
    async def concatenate(text: str, number: int) -> str:
        return f"{text}{number}"

    async with app:
        result = await app.wait_for_result(await app.submit("custom_name", "a", 1))
    assert (result.result, result.task_name) == ("a1", "custom_name")


async def test_all_task_options_are_accepted_in_their_order() -> None:
    """``task(name, cpu_bound, max_retries, retry_delay)`` by position and by keyword."""
    app = Flowrra()
    by_position = app.task("first", False, 7, 2.5)(lambda: None)
    by_keyword = app.task(name="second", max_retries=7, retry_delay=2.5, cpu_bound=False)(lambda: None)
    for task in (by_position, by_keyword):
        assert (task.retry.max_retries, task.retry.retry_delay, task.kind) == (7, 2.5, "thread")
    assert app.registry.names() == ["first", "second"]


@pytest.mark.parametrize(
    "call", [("hello", 42), {"text": "hello", "number": 42}], ids=["position", "keyword"]
)
async def test_arguments_by_position_and_by_keyword(call: Any) -> None:
    app = Flowrra.from_urls()

    @app.task()
    async def join(text: str, number: int) -> str:
        return f"{text} {number}"

    async with app:
        args, kwargs = ((), call) if isinstance(call, dict) else (call, {})
        result = await app.wait_for_result(await app.submit(join, *args, **kwargs))
    assert result.result == "hello 42"


async def test_the_lower_priority_number_runs_first() -> None:
    """Submitted in the wrong order on purpose; one worker; the default 0 runs before 1."""
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1)))
    order: list[str] = []

    @app.task()
    async def step(name: str) -> None:
        order.append(name)

    ids = [
        await app.submit(step, "last", priority=10),
        await app.submit(step, "second", priority=5),
        await app.submit(step, "first", priority=1),
        await app.submit(step, "default"),
        await app.submit(step, "before all", priority=-1),
    ]
    async with app:
        for task_id in ids:
            await app.wait_for_result(task_id)
    assert order == ["before all", "default", "first", "second", "last"]


async def test_retries_with_exponential_back_off() -> None:
    """Five retries from a delay of two seconds: due after 2, 4, 8, 16 and 32 seconds, not a moment before."""
    clock = FakeClock()
    app = Flowrra(clock=clock)
    calls: list[float] = []

    @app.task(max_retries=5, retry_delay=2.0)
    async def flaky() -> None:
        calls.append(clock.time())
        raise ConnectionError("still down")

    async with app:
        task_id = await app.submit(flaky)
        await clock.settle()
        for number, delay in enumerate((2, 4, 8, 16, 32), start=1):
            waiting = await app.get_result(task_id)
            assert waiting is not None
            assert (waiting.status, waiting.retries) == (TaskStatus.RETRYING, number)
            assert waiting.due_at is not None
            assert waiting.due_at.timestamp() == calls[-1] + delay
            await clock.advance(delay - 0.25)
            assert len(calls) == number
            await clock.advance(0.25)
        result = await app.wait_for_result(task_id)
    assert [later - earlier for earlier, later in pairwise(calls)] == [2, 4, 8, 16, 32]
    assert (result.status, result.retries, result.error) == (
        TaskStatus.FAILED,
        5,
        "ConnectionError: still down",
    )


async def test_a_failure_is_a_result_and_a_retry_may_succeed() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    outcomes = iter([ValueError("unlucky"), ValueError("unlucky"), "success"])

    @app.task(max_retries=3)
    async def risky() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, ValueError):
            raise outcome
        return outcome

    @app.task(max_retries=0)
    async def hopeless() -> None:
        raise ValueError("never")

    async with app:
        lucky, unlucky = await app.submit(risky), await app.submit(hopeless)
        await clock.advance(3)
        succeeded, failed = await app.wait_for_result(lucky), await app.wait_for_result(unlucky)
    assert (succeeded.status, succeeded.result, succeeded.retries) == (TaskStatus.SUCCESS, "success", 2)
    assert succeeded.is_success
    assert succeeded.is_complete
    assert (failed.status, failed.error, failed.retries) == (TaskStatus.FAILED, "ValueError: never", 0)
    assert not failed.is_success
    assert failed.is_complete


async def test_a_result_can_be_asked_for_without_waiting() -> None:
    app = Flowrra.from_urls()

    @app.task()
    async def one() -> int:
        return 1

    task_id = await app.submit(one)
    early = await app.get_result(task_id)
    assert early is not None
    assert (early.status, early.result, early.is_complete) == (TaskStatus.PENDING, None, False)
    assert await app.get_result("nobody") is None
    async with app:
        await app.wait_for_result(task_id)
        late = await app.get_result(task_id)
    assert late is not None
    assert (late.status, late.result) == (TaskStatus.SUCCESS, 1)


async def test_start_and_stop_by_hand() -> None:
    """As a web framework's lifespan does it."""
    app = Flowrra.from_urls()

    @app.task(max_retries=3)
    async def welcome(email: str) -> str:
        return email

    assert not app.is_running
    await app.start()
    await app.start()
    assert app.is_running
    task_id = await app.submit(welcome, "ada@example.org")
    assert (await app.wait_for_result(task_id)).result == "ada@example.org"
    await app.stop()
    await app.stop()
    assert not app.is_running


async def test_configuration_by_objects() -> None:
    """Every setting of the example, in memory."""
    config = Config(
        broker=BrokerConfig(url="memory://", max_connections=50, socket_timeout=5.0),
        backend=BackendConfig(url="memory://", ttl=3600, max_connections=50),
        executor=ExecutorConfig(
            num_workers=10, cpu_workers=4, max_queue_size=1000, max_retries=2, retry_delay=1.0
        ),
    )
    app = Flowrra(config=config)

    @app.task()
    async def twice(n: int) -> int:
        return n * 2

    async with app:
        assert (await app.wait_for_result(await app.submit(twice, 21))).result == 42
        assert app.executors["io"].slots == 10
        assert app.executors["cpu"].slots == 4
        assert app.executors["io"].pending_count() == 0


async def test_configuration_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRRA_BROKER_URL", "memory://")
    monkeypatch.setenv("FLOWRRA_BACKEND_TTL", "60")
    monkeypatch.setenv("FLOWRRA_EXECUTOR_NUM_WORKERS", "7")
    monkeypatch.setenv("FLOWRRA_EXECUTOR_MAX_RETRIES", "0")
    app = Flowrra(Config.from_env(prefix="FLOWRRA_"))

    @app.task()
    async def fail() -> None:
        raise ValueError

    async with app:
        result = await app.wait_for_result(await app.submit(fail))
        assert app.executors["io"].slots == 7
    assert (result.status, result.retries, result.error) == (TaskStatus.FAILED, 0, "ValueError")


def test_an_application_reads_no_environment_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWRRA_EXECUTOR_NUM_WORKERS", "7")
    assert Flowrra().config == Config()


def parameters(function: Callable[..., Any]) -> list[tuple[str, object]]:
    """Names and defaults of the positional parameters, ``self`` left out."""
    signature = inspect.signature(function)
    return [
        (each.name, "required" if each.default is each.empty else each.default)
        for each in signature.parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.name != "self"
    ]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Flowrra, [("config", None)]),
        (Flowrra.from_urls, [("broker", None), ("backend", None)]),
        (
            Flowrra.task,
            [("name", None), ("cpu_bound", False), ("max_retries", None), ("retry_delay", None)],
        ),
        (Flowrra.submit, [("task", "required")]),
        (Flowrra.wait_for_result, [("task_id", "required"), ("timeout", None)]),
        (Flowrra.get_result, [("task_id", "required")]),
        (Flowrra.start, []),
        (Flowrra.stop, [("wait", True), ("timeout", 30.0)]),
        (Config.from_env, [("prefix", "FLOWRRA_")]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures_are_the_documented_ones(
    function: Callable[..., Any], expected: list[tuple[str, object]]
) -> None:
    assert parameters(function) == expected


def test_submit_takes_arguments_priority_and_keywords() -> None:
    """``task_func`` of the first readme is positional only: a task may have a parameter of its name."""
    kinds = {each.name: each.kind.name for each in inspect.signature(Flowrra.submit).parameters.values()}
    assert kinds == {
        "self": "POSITIONAL_ONLY",
        "task": "POSITIONAL_ONLY",
        "args": "VAR_POSITIONAL",
        "priority": "KEYWORD_ONLY",
        "kwargs": "VAR_KEYWORD",
    }


@pytest.mark.parametrize("name", ["submit", "wait_for_result", "get_result", "start", "stop"])
def test_what_is_awaited_is_a_coroutine_function(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(Flowrra, name))


def test_is_running_is_a_property() -> None:
    assert isinstance(Flowrra.is_running, property)


def fields(cls: Any) -> list[tuple[str, object]]:
    """Names and defaults of a dataclass's fields."""
    return [
        (
            each.name,
            "required"
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            else each.default
            if each.default is not dataclasses.MISSING
            else each.default_factory(),
        )
        for each in dataclasses.fields(cls)
    ]


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (
            TaskResult,
            [
                ("task_id", "required"),
                ("status", "required"),
                ("result", None),
                ("error", None),
                ("started_at", None),
                ("finished_at", None),
                ("retries", 0),
                ("task_name", ""),
                ("traceback", None),
                ("args", ()),
                ("kwargs", {}),
                ("submitted_at", None),
                ("priority", 0),
                ("queue", "default"),
                ("worker", None),
                ("attempts", ()),
                ("progress", None),
                ("dead_reason", None),
                ("retry_of", None),
            ],
        ),
        (Config, [("broker", None), ("backend", None), ("executor", ExecutorConfig())]),
        (
            BrokerConfig,
            [
                ("url", "required"),
                ("max_connections", 50),
                ("socket_timeout", 5.0),
                ("retry_on_timeout", True),
            ],
        ),
        (
            BackendConfig,
            [
                ("url", "required"),
                ("ttl", None),
                ("max_connections", 50),
                ("socket_timeout", 5.0),
                ("retry_on_timeout", True),
            ],
        ),
        (
            ExecutorConfig,
            [
                ("num_workers", 4),
                ("cpu_workers", None),
                ("max_queue_size", 1000),
                ("max_retries", 3),
                ("retry_delay", 1.0),
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_fields_keep_their_order_and_defaults(cls: Any, expected: list[tuple[str, object]]) -> None:
    """New fields may only follow."""
    assert fields(cls)[: len(expected)] == expected


def test_status_values() -> None:
    assert issubclass(TaskStatus, Enum)
    assert {status.name: status.value for status in TaskStatus} == {
        "PENDING": "pending",
        "RUNNING": "running",
        "SUCCESS": "success",
        "FAILED": "failed",
        "RETRYING": "retrying",
        "SCHEDULED": "scheduled",
        "CANCELLED": "cancelled",
    }


@pytest.mark.parametrize("status", TaskStatus)
def test_complete_means_final_and_success_means_success(status: TaskStatus) -> None:
    result = TaskResult("id", status)
    assert result.is_complete == (status.name in {"SUCCESS", "FAILED", "CANCELLED"})
    assert result.is_success == (status is TaskStatus.SUCCESS)


def test_a_result_is_made_in_the_documented_order() -> None:
    at = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
    result = TaskResult("id", TaskStatus.SUCCESS, 5, None, at, at, 2)
    assert (result.result, result.started_at, result.finished_at, result.retries) == (5, at, at, 2)


@pytest.mark.parametrize(
    "name",
    [
        "BackendConfig", "BrokerConfig", "CPUExecutor", "Config", "ExecutorConfig", "Flowrra", "IOExecutor",
        "InMemoryBackend", "SchedulerConfig", "Task", "TaskHandle", "TaskRegistry", "TaskResult",
        "TaskStatus", "current_task",
    ],
)  # fmt: skip
def test_public_names_are_there(name: str) -> None:
    assert hasattr(flowrra, name)


async def test_the_memory_backend_is_the_default() -> None:
    assert isinstance(Flowrra.from_urls().engine.connections.backend, InMemoryBackend)
