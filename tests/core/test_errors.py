"""What a person reads when something is wrong: every message says what happened, to what, and what to do."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from flowrra import (
    BackendConfig,
    BrokerConfig,
    Config,
    ConfigError,
    DuplicateTaskError,
    EncodingError,
    ExecutorConfig,
    Flowrra,
    FlowrraError,
    PayloadTooLargeError,
    TaskNotFoundError,
    TaskStatus,
    TaskTimeoutError,
    UnknownSchemeError,
    UnregisteredTaskError,
    current_task,
)
from flowrra.exceptions import PluginError, QueueFullError, TaskCancelledError, TaskFailedError


class Colour(Enum):
    RED = 1


class Thing:
    def method(self) -> None: ...

    def __repr__(self) -> str:
        return "<a thing>"


def module_level() -> None: ...


async def coroutine_function() -> None: ...


def generate() -> Iterator[int]:
    yield 1


async def generate_async() -> Any:
    yield 1


def register(function: Any, **options: Any) -> Callable[[], object]:
    return lambda: Flowrra().task(**options)(function)


def option(**options: Any) -> Callable[[], object]:
    return lambda: Flowrra().task("t")(module_level).options(**options)


REFUSED_TASKS = {
    "no parentheses": (
        lambda: Flowrra().task(module_level),  # type: ignore[call-overload]
        "write @app.task() with parentheses; the first argument is the task's name",
    ),
    "coroutine with cpu_bound": (
        register(coroutine_function, cpu_bound=True),
        (
            "cpu_bound=True needs a plain def: 'coroutine_function' is async def; "
            "leave cpu_bound out, or make it a plain function"
        ),
    ),
    "coroutine in threads": (
        register(coroutine_function, executor="thread"),
        (
            "executor 'thread' needs a plain def: 'coroutine_function' is async def; "
            "leave the executor out and it runs on the loop"
        ),
    ),
    "plain function on the loop": (
        register(module_level, executor="io"),
        (
            "executor 'io' needs async def: 'module_level' is a plain def, which would hold up the loop; "
            "leave the executor out and it runs in a thread"
        ),
    ),
    "lambda with cpu_bound": (
        register(lambda: None, name="l", cpu_bound=True),
        (
            "cpu_bound=True needs a function that another process finds by its import path: "
            "'<lambda>' is local; move it to module level with a def of its own"
        ),
    ),
    "generator": (
        register(generate),
        "generator function 'generate' can't be a task: return a list instead",
    ),
    "asynchronous generator": (
        register(generate_async),
        "generator function 'generate_async' can't be a task: return a list instead",
    ),
    "partial": (
        register(functools.partial(module_level)),
        "a functools.partial can't be a task: define a function that makes the call",
    ),
    "bound method": (
        register(Thing().method),
        "bound method 'Thing.method' can't be a task: use a module-level function",
    ),
    "callable object": (
        register(Thing()),
        "<a thing> can't be a task: decorate a function (def or async def)",
    ),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED_TASKS.values(), ids=REFUSED_TASKS)
def test_what_cannot_be_a_task(refused: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        refused()
    assert str(caught.value) == message


def test_a_local_function_cannot_be_a_cpu_task() -> None:
    def local() -> None: ...

    with pytest.raises(TypeError, match=r"'test_a_local_function.*local' is local; move it to module level"):
        Flowrra().task(cpu_bound=True)(local)


@pytest.mark.parametrize("where", ["task", "options", "from_urls"])
def test_an_unknown_option_is_a_type_error(where: str) -> None:
    app = Flowrra()
    call: Any = {
        "task": app.task,
        "options": app.task("t")(module_level).options,
        "from_urls": app.from_urls,
    }[where]
    with pytest.raises(TypeError, match="unexpected keyword argument 'retrys'"):
        call(retrys=3)


SECONDS = "it must be a finite number of seconds, not negative"
PRIORITY = "it must be a whole number from -512 to 511, the lower number runs first"
NAME = "it must be printable text of 1 to 200 characters"

REFUSED_OPTIONS = {
    "priority too low": (option(priority=-513), f"priority is -513; {PRIORITY}"),
    "priority too high": (option(priority=512), f"priority is 512; {PRIORITY}"),
    "priority a fraction": (option(priority=1.0), f"priority is 1.0; {PRIORITY}"),
    "priority a truth": (option(priority=True), f"priority is True; {PRIORITY}"),
    "priority of the task": (register(module_level, priority=1_000), f"priority is 1000; {PRIORITY}"),
    "negative delay": (option(delay=-1), f"delay is -1; {SECONDS}"),
    "infinite delay": (option(delay=float("inf")), f"delay is inf; {SECONDS}"),
    "delay in words": (option(delay="soon"), f"delay is 'soon'; {SECONDS}"),
    "timeout not a number": (option(timeout=float("nan")), f"timeout is nan; {SECONDS}"),
    "timeout of the task": (register(module_level, timeout=-0.5), f"timeout is -0.5; {SECONDS}"),
    "negative expires": (option(expires=-3), f"expires is -3; {SECONDS}"),
    "naive eta": (
        option(eta=datetime(2030, 1, 1)),  # noqa: DTZ001
        (
            "eta is datetime.datetime(2030, 1, 1, 0, 0), which has no time zone; write "
            "datetime(2030, 1, 1, 9, tzinfo=timezone.utc) or datetime.now().astimezone()"
        ),
    ),
    "delay and eta": (
        option(delay=5, eta=datetime.fromisoformat("2030-01-01T00:00:00+00:00")),
        "both delay (5 s) and eta (2030-01-01 00:00:00+00:00) are given; choose one",
    ),
    "empty queue": (option(queue=""), f"queue is ''; {NAME}"),
    "queue with a line break": (option(queue="a\nb"), f"queue is 'a\\nb'; {NAME}"),
    "long unique key": (option(unique_key="k" * 201), f"unique_key is {'k' * 201!r:.100}; {NAME}"),
    "empty name": (register(module_level, name=""), f"name is ''; {NAME}"),
}


@pytest.mark.parametrize(("refused", "message"), REFUSED_OPTIONS.values(), ids=REFUSED_OPTIONS)
def test_an_option_out_of_range(refused: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        refused()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_retries": -1}, "max_retries is -1"),
        ({"max_retries": 1.5}, "max_retries is 1.5"),
        ({"retry_delay": -1}, "retry_delay is -1"),
        ({"retry_delay": float("nan")}, "retry_delay is nan"),
        ({"max_retry_delay": -1}, "max_retry_delay is -1"),
        ({"retry_jitter": 2}, "retry_jitter is 2"),
        ({"retry_jitter": -0.1}, "retry_jitter is -0.1"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_retry_setting_out_of_range(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        Flowrra().task(**options)(module_level)


async def test_a_priority_out_of_range_at_submit() -> None:
    app = Flowrra()
    task = app.task()(module_level)
    with pytest.raises(ValueError, match=r"priority is 512; it must be a whole number from -512 to 511"):
        await app.submit(task, priority=512)
    for priority in (-512, 511):
        await app.submit(task, priority=priority)


class TestRegistry:
    def test_a_duplicate_name_names_both_functions(self) -> None:
        app = Flowrra()
        app.task("same")(module_level)
        with pytest.raises(DuplicateTaskError) as caught:
            app.task("same")(coroutine_function)
        assert str(caught.value) == (
            f"task name 'same' is taken by module_level in {__file__}; "
            f"coroutine_function in {__file__} needs another: @app.task(name=...)"
        )
        assert isinstance(caught.value, ValueError)

    def test_the_same_function_again_is_no_duplicate(self) -> None:
        app = Flowrra()
        app.task("same")(module_level)
        app.task("same")(module_level)
        assert app.registry.names() == ["same"]

    async def test_an_unregistered_task_names_near_matches(self) -> None:
        app = Flowrra()
        app.task("send_email")(module_level)
        with pytest.raises(UnregisteredTaskError) as caught:
            await app.submit("send_emial")
        assert str(caught.value) == "no task named 'send_emial': did you mean 'send_email'?"
        assert isinstance(caught.value, LookupError)
        with pytest.raises(UnregisteredTaskError) as caught:
            await app.submit("other")
        assert str(caught.value) == (
            "no task named 'other': registered: send_email. Is the module that defines it imported?"
        )
        with pytest.raises(UnregisteredTaskError, match="no task named 'coroutine_function'"):
            await app.submit(coroutine_function)

    async def test_an_application_without_tasks_says_so(self) -> None:
        with pytest.raises(UnregisteredTaskError) as caught:
            await Flowrra().submit("any")
        assert str(caught.value) == (
            "no task named 'any': no task is registered; decorate a function with @app.task()"
        )

    async def test_another_function_of_the_same_name_is_not_the_task(self) -> None:
        """It would run what was not meant."""
        app = Flowrra()
        app.task("module_level")(coroutine_function)
        with pytest.raises(UnregisteredTaskError):
            await app.submit(module_level)

    async def test_a_task_of_another_application_is_refused(self) -> None:
        app, other = Flowrra(), Flowrra()
        task = other.task()(module_level)
        with pytest.raises(UnregisteredTaskError):
            await app.submit(task)


ARGUMENTS = {
    "an object": ((Thing(),), {}, "argument 'text' of task 'echo'"),
    "inside": (([1, {"a": Thing()}],), {}, "argument 'text'[1]['a'] of task 'echo'"),
    "a keyword": ((), {"text": "t", "number": Thing()}, "argument 'number' of task 'echo'"),
    "not a number": ((float("nan"),), {}, "argument 'text' of task 'echo'"),
    "an Enum": ((Colour.RED,), {}, "argument 'text' of task 'echo'"),
    "keys that are no text": (({1: 2},), {}, "argument 'text' of task 'echo'"),
}


@pytest.mark.parametrize(("args", "kwargs", "named"), ARGUMENTS.values(), ids=ARGUMENTS)
async def test_an_argument_that_cannot_be_encoded_is_named(args: Any, kwargs: Any, named: str) -> None:
    """And nothing is queued."""
    app = Flowrra()

    @app.task()
    async def echo(text: Any, number: Any = 0) -> Any:
        return text, number

    with pytest.raises(EncodingError) as caught:
        await echo.submit(*args, **kwargs)
    assert named in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert await app.pending_count() == 0


async def test_too_large_a_payload() -> None:
    app = Flowrra()

    @app.task()
    async def echo(text: str) -> None: ...

    room = 1024 * 1024 - len('[[""],{}]')
    await echo.submit("x" * room)
    with pytest.raises(PayloadTooLargeError) as caught:
        await echo.submit("x" * (room + 1))
    assert str(caught.value) == (
        "the arguments of task 'echo' takes 1,048,577 bytes encoded, the limit is 1,048,576; "
        "store the data elsewhere and pass its key"
    ) or str(caught.value).startswith("the arguments of task 'echo' take 1,048,577 bytes encoded")
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "task 'add': missing a required argument: 'a'"),
        ((1, 2, 3), {}, "task 'add': too many positional arguments"),
        ((1,), {"c": 2}, "task 'add': missing a required argument: 'b'"),
        ((1, 2), {"c": 2}, "task 'add': got an unexpected keyword argument 'c'"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_at_submit(args: Any, kwargs: Any, message: str) -> None:
    app = Flowrra()

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(TypeError) as caught:
        await app.submit(add, *args, **kwargs)
    assert str(caught.value) == message


URLS = {
    "unknown broker": (
        lambda: Flowrra(broker="sqlite:///q.db").engine.connections.broker,
        UnknownSchemeError,
        "no broker for 'sqlite' URLs; installed: memory. Try: pip install flowrra-sqlite",
    ),
    "unknown backend": (
        lambda: Flowrra(backend="nosuch://host").engine.connections.backend,
        UnknownSchemeError,
        "no backend for 'nosuch' URLs; installed: memory.",
    ),
    "no scheme": (
        lambda: Flowrra(broker="localhost:6379"),
        ConfigError,
        "BrokerConfig.url is 'localhost:6379': it can't be used: a URL must begin with its scheme",
    ),
    "a port out of range": (
        lambda: Flowrra(backend="redis://host:99999"),
        ConfigError,
        "BackendConfig.url",
    ),
    "a variable": (
        lambda: Config.load(environ={"FLOWRRA_EXECUTOR_NUM_WORKERS": "many"}),
        ConfigError,
        "FLOWRRA_EXECUTOR_NUM_WORKERS is 'many'; allowed: a whole number of at least 1",
    ),
    "a field": (
        lambda: BrokerConfig(url="memory://", lease=0),
        ConfigError,
        "BrokerConfig.lease is 0; allowed: a number of seconds above 0",
    ),
}


@pytest.mark.parametrize(("cause", "kind", "message"), URLS.values(), ids=URLS)
def test_urls_and_settings(cause: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        cause()
    text = str(caught.value)
    if "installed:" in message:
        text = re.sub(r"installed: [\w, ]+", "installed: memory", text)
    assert text.startswith(message)


def test_a_toml_key(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text("[tool.flowrra.executor]\nnum_worker = 3\n")
    with pytest.raises(ConfigError) as caught:
        Config.load(file, environ={})
    assert "num_worker" in str(caught.value)
    assert "num_workers" in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://ada:hunter2@example.org:6379/0",
        "redis://:hunter2@example.org",
        "nosuch://ada:hunter2@example.org/?password=hunter2",
        "redis://ada:hunter2@example.org:99999/0",
        "memory://ada:hunter2@host",
    ],
)
async def test_no_password_is_ever_shown(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in an error, nor in a repr, nor in a line of the log."""
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    try:
        config = Config(broker=BrokerConfig(url=url), backend=BackendConfig(url=url))
        app = Flowrra(config)
        shown += [repr(config), repr(config.broker), str(config), repr(app), repr(app.engine.connections)]
        await app.start()
        shown += [repr(app.engine.connections.broker), repr(app.engine.connections.backend)]
        await app.stop()
    except FlowrraError as error:
        shown += [str(error), repr(error), *map(str, error.args)]
    assert shown
    assert not [text for text in (*shown, caplog.text) if "hunter2" in text]


class TestCalls:
    async def test_app_sync_on_a_loop_thread_names_the_awaitable_call(self) -> None:
        app = Flowrra()
        task = app.task()(module_level)
        calls: dict[str, Callable[[], object]] = {
            "app.submit(...)": lambda: app.sync.submit(task),
            "app.submit_many(...)": lambda: app.sync.submit_many([task.signature()]),
            "app.wait_for_result(...)": lambda: app.sync.wait_for_result("id"),
            "app.get_result(...)": lambda: app.sync.get_result("id"),
            "app.cancel(...)": lambda: app.sync.cancel("id"),
            "app.retry(...)": lambda: app.sync.retry("id"),
            "app.pending_count()": app.sync.pending_count,
        }
        for instead, call in calls.items():
            with pytest.raises(RuntimeError) as caught:
                call()
            assert str(caught.value) == (
                f"this thread runs an event loop, which app.sync would block; use: await {instead}"
            )

    def test_current_task_outside_of_a_task(self) -> None:
        with pytest.raises(LookupError) as caught:
            current_task()
        assert str(caught.value) == "current_task() works only inside a running task"

    def test_a_scheduler_needs_its_distribution(self) -> None:
        with pytest.raises(
            PluginError, match=r"no scheduler is installed\. Try: pip install flowrra-scheduler"
        ):
            Flowrra().create_scheduler()

    async def test_a_plain_function_that_returns_an_awaitable_fails_with_the_reason(self) -> None:
        app = Flowrra()

        @app.task(max_retries=0)
        def forgot_async() -> Awaitable[None]:
            return asyncio.sleep(0)

        async with app:
            result = await app.wait_for_result(await app.submit(forgot_async))
        assert result.status is TaskStatus.FAILED
        assert result.error == (
            "TaskDefinitionError: task 'forgot_async' is a plain function but returned an awaitable "
            "(coroutine); make it async def and await there"
        )


@pytest.mark.parametrize(
    ("error", "also"),
    [
        (ConfigError, ValueError),
        (UnknownSchemeError, LookupError),
        (UnregisteredTaskError, LookupError),
        (DuplicateTaskError, ValueError),
        (EncodingError, TypeError),
        (PayloadTooLargeError, ValueError),
        (TaskNotFoundError, LookupError),
        (TaskTimeoutError, TimeoutError),
        (QueueFullError, Exception),
        (TaskFailedError, Exception),
        (TaskCancelledError, Exception),
    ],
    ids=lambda value: value.__name__,
)
def test_every_error_is_ours_and_what_a_caller_would_catch(
    error: type[Exception], also: type[Exception]
) -> None:
    assert issubclass(error, FlowrraError)
    assert issubclass(error, also)


@pytest.mark.parametrize("kind", ["io", "thread"])
@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError("stray"),
        BaseException("bare"),
        GeneratorExit(),
        ExceptionGroup("several", [ValueError(1), KeyError(2)]),
        BaseExceptionGroup("all", [KeyboardInterrupt()]),
        RecursionError("too deep"),
        MemoryError(),
        StopIteration(1),
        StopAsyncIteration(1),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_whatever_a_task_raises_fails_only_that_task(kind: str, error: BaseException) -> None:
    """Errors that are no ``Exception`` are not retried unless ``retry_on`` names them."""
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1, max_retries=1, retry_delay=0)))
    good = app.task("good")(coroutine_function)
    executions: list[int] = []

    async def raise_it() -> None:
        executions.append(1)
        raise error

    def raise_it_in_a_thread() -> None:
        executions.append(1)
        raise error

    task = app.task("bad")(raise_it if kind == "io" else raise_it_in_a_thread)
    async with app:
        result = await app.wait_for_result(await app.submit(task), 10)
        assert await (await good.submit()).result(10) is None
    assert result.status is TaskStatus.FAILED
    assert result.error is not None
    assert result.error.split(":")[0] in {type(error).__name__, "RuntimeError"}
    assert len(executions) == (2 if isinstance(error, Exception) else 1)


async def test_endless_recursion_fails_only_that_task() -> None:
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=1, max_retries=0)))

    @app.task()
    async def endless(depth: int = 0) -> int:
        return await endless(depth + 1)

    @app.task()
    async def one() -> int:
        return 1

    async with app:
        result = await app.wait_for_result(await app.submit(endless), 10)
        assert await (await one.submit()).result(10) == 1
    assert (result.error or "").startswith("RecursionError: maximum recursion depth exceeded")
