"""The executor of CPU-bound functions: values, errors, reports and turns."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import cpu_functions
import pytest
from executor_calls import children, error_of, exists, make_call, make_task

from flowrra.call import EncodedValue
from flowrra.config import ExecutorConfig
from flowrra.executors.cpu import CPUExecutor
from flowrra.executors.remote import RemoteError
from flowrra.serialization import decode_value


@pytest.fixture
async def executor() -> AsyncIterator[CPUExecutor]:
    """Two slots; no process may be left in the end."""
    before = children()
    made = CPUExecutor(ExecutorConfig(cpu_workers=2))
    await made.start()
    yield made
    await made.stop(0)
    assert made.pids == ()
    assert children() <= before


async def run(executor: CPUExecutor, function: Any, *args: Any, **options: Any) -> Any:
    """The decoded value of one call."""
    encoded = await executor.execute(make_call(function, *args, **options))
    assert isinstance(encoded, EncodedValue)
    return decode_value(encoded.data)


async def test_runs_in_another_process_that_is_kept(executor: CPUExecutor) -> None:
    assert executor.pids == ()
    pids = {await run(executor, cpu_functions.process_id) for _ in range(5)}
    assert pids == set(executor.pids)
    assert len(pids) == 1
    assert os.getpid() not in pids


async def test_processes_are_started_up_to_the_limit(executor: CPUExecutor) -> None:
    calls = [run(executor, cpu_functions.add, n, 1) for n in range(200)]
    assert await asyncio.gather(*calls) == list(range(1, 201))
    assert len(executor.pids) == 2


def test_without_a_number_there_is_one_slot_per_cpu() -> None:
    assert CPUExecutor(ExecutorConfig()).slots == os.cpu_count()


async def test_large_values_travel_both_ways(executor: CPUExecutor) -> None:
    value = ["ä" * 200, 2**70, None] * 2000
    assert await asyncio.gather(*(run(executor, cpu_functions.echo, value) for _ in range(4))) == [value] * 4


async def test_current_task_is_complete(executor: CPUExecutor) -> None:
    options = {
        "attempt": 3, "queue": "slow", "priority": -2,
        "headers": {"trace": "ü\u2028"}, "timeout": 5.0, "deadline": 1e9,
    }  # fmt: skip
    call = make_call(cpu_functions.facts, **options)
    encoded: Any = await executor.execute(call)
    assert decode_value(encoded.data) == {"id": call.id, "name": "facts", **options}


async def test_functions_are_found_as_tasks_under_other_names_and_in_classes(executor: CPUExecutor) -> None:
    assert await run(executor, cpu_functions.as_task, 3) == 6
    assert await run(executor, make_task(cpu_functions.under_another_name, "other"), 3) == 9
    assert await run(executor, cpu_functions.Holder.inside, 3) == 12


async def test_a_module_ends_where_it_would_start_the_application(executor: CPUExecutor) -> None:
    """Otherwise the worker process would start worker processes, and so on."""

    @functools.wraps(cpu_functions.add)
    def after(a: int, b: int) -> int:
        return a + b

    after.__qualname__ = "after_the_start"
    error = await error_of(executor.execute(make_call(after, 1, 2)))
    assert "has no 'after_the_start' when a worker process loads it" in str(error)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (cpu_functions.raise_two, "TwoArgumentsError: this and that"),
        (cpu_functions.raise_unreadable, "UnreadableError: <UnreadableError without a readable text>"),
        (cpu_functions.leave, "SystemExit: gone"),
        (cpu_functions.interrupt, "KeyboardInterrupt"),
        (
            cpu_functions.return_awaitable,
            "TaskDefinitionError: task 'return_awaitable' is a plain function but returned",
        ),
        (cpu_functions.deep, "RecursionError: maximum recursion depth exceeded"),
    ],
)
async def test_what_a_function_raises_comes_back_as_text(
    executor: CPUExecutor, function: Callable[[], Any], expected: str
) -> None:
    error = await error_of(executor.execute(make_call(function)))
    assert isinstance(error, RemoteError)
    assert str(error).startswith(expected)
    assert error.retryable
    assert await run(executor, cpu_functions.add, 1, 2) == 3


async def test_an_error_tells_its_classes_and_its_traceback(executor: CPUExecutor) -> None:
    error = await error_of(executor.execute(make_call(cpu_functions.raise_two)))
    assert isinstance(error, RemoteError)
    assert (error.type_name, error.text) == ("TwoArgumentsError", "this and that")
    assert error.is_a([cpu_functions.TwoArgumentsError])
    assert error.is_a([KeyError, ValueError])
    assert not error.is_a([KeyError, cpu_functions.UnreadableError])
    assert error.traceback_text is not None
    assert [line for line in error.traceback_text.splitlines() if "File" in line] == [
        f'  File "{cpu_functions.__file__}", line {_line_of(cpu_functions.raise_two, 1)}, in raise_two'
    ]


def _line_of(function: Callable[..., Any], offset: int) -> int:
    return function.__code__.co_firstlineno + offset


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (cpu_functions.return_generator, "EncodingError: the result of task 'return_generator'"),
        (cpu_functions.return_lambda, "EncodingError: the result of task 'return_lambda'"),
        (cpu_functions.return_lock, "EncodingError: the result of task 'return_lock'"),
        (
            cpu_functions.return_much,
            "PayloadTooLargeError: the result of task 'return_much' takes 1,048,578 bytes",
        ),
    ],
)
async def test_a_result_that_cannot_be_encoded_is_final(
    executor: CPUExecutor, function: Callable[[], Any], expected: str
) -> None:
    error = await error_of(executor.execute(make_call(function)))
    assert isinstance(error, RemoteError)
    assert str(error).startswith(expected)
    assert not error.retryable
    assert await run(executor, cpu_functions.add, 1, 2) == 3


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "cpu_functions:nothing",
            "has no 'nothing' when a worker process loads it; define the task at module level",
        ),
        (
            "cpu_functions:not_a_function",
            "cpu_functions:not_a_function is no function in a worker process but 5",
        ),
        ("no_such_module:f", "a worker process finds no module 'no_such_module'; is its folder on sys.path?"),
        ("no_such.package.module:f", "a worker process finds no module 'no_such.package.module'"),
    ],
)
async def test_a_function_that_is_not_found_is_a_final_error(
    executor: CPUExecutor, path: str, expected: str
) -> None:
    def function() -> None:
        """Pretends to live elsewhere."""

    function.__module__, function.__qualname__ = path.split(":")
    call = make_call(function)
    call.task.function.__code__ = function.__code__.replace(co_filename="")
    error = await error_of(executor.execute(call))
    assert isinstance(error, RemoteError)
    assert expected in str(error)
    assert not error.retryable


async def test_a_module_that_fails_to_load_says_why(
    executor: CPUExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "half_broken.py").write_text("import sys\nraise OSError('no licence')\n")

    def function() -> None:
        """Pretends to live elsewhere."""

    function.__module__, function.__qualname__ = "half_broken", "function"
    for _ in range(2):
        error = await error_of(executor.execute(make_call(function)))
        assert str(error) == "OSError: no licence"


async def test_a_module_whose_name_does_not_find_it_is_loaded_from_its_file(
    executor: CPUExecutor, tmp_path: Path
) -> None:
    """As with modules that a test runner or a framework loaded by file."""
    file = tmp_path / "hidden.py"
    file.write_text("def function():\n    return __name__\n")
    code: Any = compile(file.read_text(), str(file), "exec")
    namespace: dict[str, Any] = {"__name__": "hidden_module"}
    exec(code, namespace)
    assert await run(executor, namespace["function"]) == "hidden_module"


async def test_progress_arrives_while_the_function_runs(executor: CPUExecutor, tmp_path: Path) -> None:
    """The newest report arrives though it follows close on the first."""
    reports: list[Any] = []
    newest = asyncio.Event()

    def note(call: Any) -> None:
        reports.append(decode_value(call.progress_data)["done"])
        if reports[-1] == 2:
            newest.set()

    started, end = tmp_path / "started", tmp_path / "end"
    call = make_call(cpu_functions.report_and_wait, str(started), str(end), on_progress=note)
    running = asyncio.create_task(executor.execute(call))
    await newest.wait()
    assert not running.done()
    await exists(started)
    end.touch()
    await running


async def test_much_progress_is_thinned_out_and_the_last_is_kept(executor: CPUExecutor) -> None:
    reports: list[Any] = []
    call = make_call(
        cpu_functions.report, 20_000, on_progress=lambda call: reports.append(call.progress_data)
    )
    await executor.execute(call)
    assert call.progress_data is not None
    assert decode_value(call.progress_data) == {"done": 20_000, "total": 20_000, "message": "counting"}
    assert len(reports) < 2_000


async def test_log_lines_are_kept_and_logged_here(
    executor: CPUExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowrra.task")
    call = make_call(cpu_functions.log_and_fail)
    assert str(await error_of(executor.execute(call))) == "RuntimeError: outer"
    assert call.log_text() == "DEBUG a detail\nWARNING a warning\nERROR caught"
    warning, caught = caplog.records
    assert (warning.name, warning.levelname, warning.getMessage()) == (
        "flowrra.task.log_and_fail", "WARNING", "a warning",
    )  # fmt: skip
    assert (vars(warning)["task_id"], warning.process) == (call.id, executor.pids[0])
    assert (warning.filename, warning.funcName) == ("cpu_functions.py", "log_and_fail")
    assert caught.exc_text is not None
    assert caught.exc_text.endswith("ValueError: inner")


async def test_the_level_is_the_parents(executor: CPUExecutor, caplog: pytest.LogCaptureFixture) -> None:
    for level in (logging.DEBUG, logging.ERROR):
        caplog.set_level(level, "flowrra.task")
        assert await run(executor, cpu_functions.log_level) == level


async def test_calls_wait_their_turn_and_can_be_cancelled_there(
    executor: CPUExecutor, tmp_path: Path
) -> None:
    started, end = [tmp_path / str(n) for n in range(2)], tmp_path / "end"
    held = [
        asyncio.create_task(run(executor, cpu_functions.wait_for, str(each), str(end))) for each in started
    ]
    await exists(*started)
    waiting = [asyncio.create_task(run(executor, cpu_functions.add, n, n)) for n in range(3)]
    await asyncio.sleep(0)
    assert (executor.slots, executor.room(), executor.pending_count()) == (2, 0, 5)
    pids = executor.pids
    waiting[1].cancel()
    await asyncio.wait([waiting[1]])
    assert executor.pending_count() == 4
    end.touch()
    assert set(await asyncio.gather(*held)) == set(pids) == set(executor.pids)
    assert await asyncio.gather(waiting[0], waiting[2]) == [0, 4]
    assert (executor.room(), executor.pending_count()) == (2, 0)


async def test_a_child_has_no_files_of_its_parent(executor: CPUExecutor, tmp_path: Path) -> None:
    """A socket that a child inherits could be read and written by both."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    with (tmp_path / "open").open("w"):
        files = await asyncio.gather(*(run(executor, cpu_functions.open_files) for _ in range(2)))
    server.close()
    for links in files:
        assert len([each for each in links if each.startswith("socket:")]) == 1
        assert not [each for each in links if each.startswith(str(tmp_path))]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda: None, "is local; move it to module level with a def of its own"),
        (make_call, None),
    ],
)
def test_local_functions_are_refused(function: Callable[..., Any], expected: str | None) -> None:
    executor = CPUExecutor(ExecutorConfig())
    if expected is None:
        executor.check(function)
    else:
        with pytest.raises(TypeError, match=expected):
            executor.check(function)


def test_nested_and_coroutine_functions_are_refused_with_the_way_out() -> None:
    def nested() -> None:
        """Nobody else finds it."""

    async def work() -> None:
        """Belongs on the loop."""

    executor = CPUExecutor(ExecutorConfig())
    with pytest.raises(TypeError, match=r"another process finds by its import path: .*nested' is local"):
        executor.check(nested)
    with pytest.raises(
        TypeError, match=r"cpu_bound=True needs a plain def: .*work' is async def; leave cpu_bound"
    ):
        executor.check(work)


def test_importing_the_executor_does_not_import_multiprocessing() -> None:
    code = "import sys, flowrra.executors.cpu; print('multiprocessing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
