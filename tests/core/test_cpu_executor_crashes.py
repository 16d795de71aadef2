"""The executor of CPU-bound functions: processes that die, are killed, are stopped, or lose their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import cpu_functions
import pytest
from executor_calls import children, error_of, exists, make_call, until

from flowrra.config import ExecutorConfig
from flowrra.exceptions import ExecutorCrashedError
from flowrra.executors.cpu import CPUExecutor
from flowrra.serialization import decode_value


@pytest.fixture
async def executor() -> AsyncIterator[CPUExecutor]:
    """Three slots; no process may be left in the end."""
    before = children()
    made = CPUExecutor(ExecutorConfig(cpu_workers=3))
    await made.start()
    yield made
    await made.stop(0)
    assert made.pids == ()
    assert children() <= before


async def run(executor: CPUExecutor, function: Any, *args: Any) -> Any:
    """The decoded value of one call."""
    encoded: Any = await executor.execute(make_call(function, *args))
    return decode_value(encoded.data)


def open_files() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that nobody collects counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_killing_a_child_fails_its_call_only(executor: CPUExecutor, tmp_path: Path) -> None:
    started, end = [tmp_path / str(n) for n in range(3)], tmp_path / "end"
    calls = [make_call(cpu_functions.wait_for, str(each), str(end)) for each in started]
    running = [asyncio.create_task(executor.execute(call)) for call in calls]
    await exists(*started)
    victim = int(started[1].read_text())
    os.kill(victim, signal.SIGKILL)
    error = await error_of(running[1])
    assert isinstance(error, ExecutorCrashedError)
    assert str(error) == (
        f"worker process {victim} was killed by SIGKILL (often a lack of memory) "
        f"while it ran task 'wait_for' ({calls[1].id})"
    )
    assert (len(executor.pids), victim in executor.pids) == (3, False)
    assert (executor.room(), executor.pending_count()) == (1, 2)
    assert [call.done() for call in running] == [False, True, False]
    assert await run(executor, cpu_functions.add, 1, 2) == 3
    end.touch()
    for n in (0, 2):
        encoded: Any = await running[n]
        assert decode_value(encoded.data) == int(started[n].read_text())


async def test_killing_children_in_the_middle_of_200_calls_loses_none(executor: CPUExecutor) -> None:
    """Each kill crashes one call at most; done again, all 200 finish."""
    crashed = 0

    async def persistent(n: int) -> int:
        nonlocal crashed
        while True:
            try:
                return await run(executor, cpu_functions.add, n, 1)
            except ExecutorCrashedError:
                crashed += 1

    calls = [asyncio.create_task(persistent(n)) for n in range(200)]
    for done in (20, 90, 150):
        await calls[done]
        os.kill(executor.pids[0], signal.SIGKILL)
    assert await asyncio.gather(*calls) == list(range(1, 201))
    assert crashed <= 3


@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        (cpu_functions.exit_at_once, (3,), "exited with code 3"),
        (cpu_functions.exit_at_once, (0,), "exited with code 0"),
        (cpu_functions.kill_itself, (), "was killed by SIGKILL"),
        (cpu_functions.segfault, (), "was killed by SIGSEGV"),
    ],
)
async def test_a_child_that_ends_itself(
    executor: CPUExecutor, function: Any, args: Any, expected: str
) -> None:
    error = await error_of(executor.execute(make_call(function, *args)))
    assert isinstance(error, ExecutorCrashedError)
    assert expected in str(error)
    assert await run(executor, cpu_functions.add, 1, 2) == 3
    assert executor.room() == 3


async def test_a_child_that_dies_idle_is_replaced_without_a_failure(executor: CPUExecutor) -> None:
    for _ in range(5):
        pid = await run(executor, cpu_functions.process_id)
        os.kill(pid, signal.SIGKILL)
        await until(partial(is_gone, pid))


async def test_a_crash_is_noticed_though_a_process_that_the_task_forked_lives_on(
    executor: CPUExecutor, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    error = await error_of(executor.execute(make_call(cpu_functions.fork_and_exit, str(end))))
    assert "exited with code 7" in str(error)
    end.touch()


async def test_a_timeout_kills_the_child_and_gives_the_slot_back(
    executor: CPUExecutor, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await run(executor, cpu_functions.spin, str(started))
    assert executor.room() == 3
    if started.exists():
        await until(lambda: is_gone(int(started.read_text())))
    assert await run(executor, cpu_functions.add, 1, 2) == 3


async def test_cancelling_kills_the_child_and_disturbs_no_other(
    executor: CPUExecutor, tmp_path: Path
) -> None:
    started, end = [tmp_path / str(n) for n in range(2)], tmp_path / "end"
    other = asyncio.create_task(run(executor, cpu_functions.wait_for, str(started[0]), str(end)))
    spinning = asyncio.create_task(run(executor, cpu_functions.spin, str(started[1])))
    await exists(*started)
    pid = int(started[1].read_text())
    spinning.cancel()
    assert isinstance(await error_of(spinning), asyncio.CancelledError)
    await until(lambda: is_gone(pid))
    assert (executor.room(), len(executor.pids)) == (2, 2)
    assert await run(executor, cpu_functions.process_id) != pid
    end.touch()
    assert await other == int(started[0].read_text())


async def test_crashes_and_kills_leak_no_files(executor: CPUExecutor, tmp_path: Path) -> None:
    await run(executor, cpu_functions.add, 1, 2)
    before = open_files()
    for n in range(5):
        await error_of(executor.execute(make_call(cpu_functions.exit_at_once, 1)))
        spinning = asyncio.create_task(run(executor, cpu_functions.spin, str(tmp_path / str(n))))
        await exists(tmp_path / str(n))
        spinning.cancel()
        await asyncio.wait([spinning])
    assert len(executor.pids) == 1
    assert open_files() == before


async def test_children_leave_ctrl_c_and_sigterm_to_their_parent(
    executor: CPUExecutor, tmp_path: Path
) -> None:
    started, end = tmp_path / "started", tmp_path / "end"
    running = asyncio.create_task(run(executor, cpu_functions.wait_for, str(started), str(end)))
    await exists(started)
    for each in (signal.SIGINT, signal.SIGTERM):
        os.kill(int(started.read_text()), each)
    end.touch()
    assert await running == int(started.read_text())
    assert executor.pids == (int(started.read_text()),)


async def test_what_tasks_start_gets_signals_as_usual(executor: CPUExecutor) -> None:
    assert await run(executor, cpu_functions.started_by_fork) == -signal.SIGTERM
    assert await run(executor, cpu_functions.started_by_subprocess) is True


async def test_stop_waits_for_what_runs_and_ends_every_child(tmp_path: Path) -> None:
    started, end = tmp_path / "started", tmp_path / "end"
    executor = CPUExecutor(ExecutorConfig(cpu_workers=2))
    await executor.start()
    running = asyncio.create_task(run(executor, cpu_functions.wait_for, str(started), str(end)))
    assert await run(executor, cpu_functions.add, 1, 2) == 3
    await exists(started)
    pids = executor.pids
    stop = asyncio.create_task(executor.stop(60))
    await asyncio.sleep(0)
    end.touch()
    await stop
    assert await running == int(started.read_text())
    assert len(pids) == 2
    assert all(map(is_gone, pids))


async def test_stop_kills_what_outlives_the_grace_and_can_be_followed_by_a_start(tmp_path: Path) -> None:
    executor, started = CPUExecutor(ExecutorConfig(cpu_workers=1)), tmp_path / "started"
    await executor.start()
    running, waiting = (
        asyncio.create_task(run(executor, cpu_functions.spin, str(started))) for _ in range(2)
    )
    await exists(started)
    pid = executor.pids[0]
    await executor.stop(0)
    assert is_gone(pid)
    assert executor.pids == ()
    error = await error_of(running)
    assert isinstance(error, ExecutorCrashedError)
    assert f"the executor was stopped and killed worker process {pid} while it ran task 'spin'" in str(error)
    assert isinstance(await error_of(waiting), ExecutorCrashedError)
    assert executor.room() == 1
    await executor.start()
    assert await run(executor, cpu_functions.add, 1, 2) == 3
    await executor.stop(0)


PARENT = """
import asyncio, sys
import cpu_functions
from executor_calls import exists, make_call
from flowrra.config import ExecutorConfig
from flowrra.executors.cpu import CPUExecutor
from functools import partial
from pathlib import Path

async def main():
    executor = CPUExecutor(ExecutorConfig(cpu_workers=3))
    await executor.start()
    files = [Path(name) for name in sys.argv[1:]]
    calls = [
        asyncio.create_task(executor.execute(make_call(cpu_functions.spin, str(files[0])))),
        asyncio.create_task(executor.execute(make_call(cpu_functions.spin, str(files[1])))),
    ]
    await executor.execute(make_call(cpu_functions.add, 1, 2))
    await exists(*files)
    print(*executor.pids, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_no_child_survives_its_killed_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither idle children nor those in the middle of an endless function."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", PARENT, tmp_path / "a", tmp_path / "b"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert not any(map(is_gone, pids))
        parent.kill()
    await until(lambda: all(map(is_gone, pids)))
