"""CPU-bound tasks in an application: what dies disturbs nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cpu_jobs
import pytest
from executor_calls import until

from flowrra import Config, CPUExecutor, ExecutorConfig, Flowrra, Progress, TaskStatus


@pytest.fixture
def app() -> Flowrra:
    """Two worker processes; not started."""
    return Flowrra(Config(executor=ExecutorConfig(cpu_workers=2, retry_delay=0)))


def runs(folder: Path, name: object) -> list[int]:
    """The processes in which it ran, in order."""
    file = folder / str(name)
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def children(app: Flowrra) -> tuple[int, ...]:
    executor = app.executors["cpu"]
    assert isinstance(executor, CPUExecutor)
    return executor.pids


def exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def test_killing_a_child_repeats_only_what_ran_in_it(app: Flowrra, tmp_path: Path) -> None:
    """``kill -9`` in the middle of 200 tasks: all finish."""
    work = app.task(cpu_bound=True, max_retries=0)(cpu_jobs.work)
    async with app:
        handles = await app.submit_many(work.signature(str(tmp_path), n) for n in range(200))
        await until(lambda: len(list(tmp_path.iterdir())) > 60)
        killed = children(app)[0]
        os.kill(killed, signal.SIGKILL)
        assert [await handle.result(50) for handle in handles] == list(range(200))
        results = [await app.get_result(handle.id) for handle in handles]
    assert [result.retries for result in results if result] == [0] * 200
    repeated = [n for n in range(200) if len(runs(tmp_path, n)) > 1]
    assert len(repeated) <= 1
    for n in repeated:
        first, second = runs(tmp_path, n)
        assert first == killed
        assert second != killed


async def test_a_hung_function_is_killed_at_its_timeout_and_its_slot_works_on(tmp_path: Path) -> None:
    app = Flowrra(Config(executor=ExecutorConfig(cpu_workers=1)))
    spin = app.task(cpu_bound=True, max_retries=0, timeout=1)(cpu_jobs.spin)
    work = app.task(cpu_bound=True)(cpu_jobs.work)
    async with app:
        hung = await spin.submit(str(tmp_path))
        good = await work.submit(str(tmp_path), 1)
        result = await app.wait_for_result(hung.id, 30)
        assert await good.result(30) == 1
        [killed] = runs(tmp_path, "spin")
        await until(lambda: not exists(killed))
    assert (result.status, result.error, result.retries) == (
        TaskStatus.FAILED,
        "TaskTimeoutError: the attempt took longer than its timeout of 1 s",
        0,
    )


async def test_troublesome_tasks_disturb_no_other(app: Flowrra, tmp_path: Path) -> None:
    folder = str(tmp_path)
    work = app.task(cpu_bound=True, max_retries=0)(cpu_jobs.work)
    raise_two = app.task(cpu_bound=True, max_retries=0)(cpu_jobs.raise_two)
    return_lock = app.task(cpu_bound=True)(cpu_jobs.return_lock)
    exit_once = app.task(cpu_bound=True, max_retries=0)(cpu_jobs.exit_once)
    async with app:
        good = await app.submit_many(work.signature(folder, n) for n in range(20))
        raised = await raise_two.submit(folder)
        locked = await return_lock.submit(folder)
        exited = await exit_once.submit(folder)
        good += await app.submit_many(work.signature(folder, n) for n in range(20, 40))
        assert [await handle.result(50) for handle in good] == list(range(40))
        assert await exited.result(30) == "second time"
        raised_result = await app.wait_for_result(raised.id, 30)
        locked_result = await app.wait_for_result(locked.id, 30)
        exited_result = await app.wait_for_result(exited.id)
    assert raised_result.error == "TwoArgumentsError: this and that"
    assert "raise TwoArgumentsError" in (raised_result.traceback or "")
    assert (locked_result.status, locked_result.retries) == (TaskStatus.FAILED, 0)
    assert (locked_result.error or "").startswith("EncodingError: the result of task 'return_lock'")
    assert exited_result.retries == 0
    assert [len(runs(tmp_path, n)) for n in range(40)] == [1] * 40
    counts = {name: len(runs(tmp_path, name)) for name in ("raise_two", "return_lock", "exit_once")}
    assert counts == {"raise_two": 1, "return_lock": 1, "exit_once": 2}


async def test_a_task_that_kills_every_child_is_dead_after_max_deliveries(
    app: Flowrra, tmp_path: Path
) -> None:
    """A dead child is no retry."""
    poison = app.task(cpu_bound=True, max_retries=10)(cpu_jobs.always_exit)
    work = app.task(cpu_bound=True)(cpu_jobs.work)
    async with app:
        handle = await poison.submit(str(tmp_path))
        good = await app.submit_many(work.signature(str(tmp_path), n) for n in range(20))
        result = await app.wait_for_result(handle.id, 50)
        assert [await each.result(30) for each in good] == list(range(20))
        assert await app.pending_count() == 0
    assert (result.status, result.retries) == (TaskStatus.FAILED, 0)
    assert result.dead_reason is not None
    assert "exited with code 0 while it ran task 'always_exit'" in result.dead_reason
    assert result.dead_reason.endswith("that was delivery 5")
    assert len(runs(tmp_path, "always_exit")) == 5


async def test_a_running_task_is_cancelled_by_killing_its_child(app: Flowrra, tmp_path: Path) -> None:
    spin = app.task(cpu_bound=True)(cpu_jobs.spin)
    async with app:
        handle = await spin.submit(str(tmp_path))
        await until(lambda: runs(tmp_path, "spin"))
        [child] = runs(tmp_path, "spin")
        assert await handle.cancel()
        assert await handle.status() is TaskStatus.CANCELLED
        await until(lambda: not exists(child))
        assert app.executors["cpu"].room() == 2
    assert runs(tmp_path, "spin") == [child]


async def test_attempts_progress_log_and_headers_are_as_elsewhere(app: Flowrra) -> None:
    report = app.task("report", cpu_bound=True, retry_on=LookupError)(cpu_jobs.report)
    async with app:
        handle = await report.options(headers={"trace": "1"}).submit()
        result = await app.wait_for_result(handle.id, 50)
    assert result.result == {"id": handle.id, "name": "report", "headers": {"trace": "1"}, "queue": "default"}
    assert result.retries == 2
    assert result.progress == Progress(done=3, total=3, message="going")
    assert [attempt.log for attempt in result.attempts] == [f"INFO attempt {n}" for n in (1, 2, 3)]
    assert [attempt.error for attempt in result.attempts] == ["LookupError: not yet"] * 2 + [None]


async def test_stop_hands_running_tasks_back_uncounted(app: Flowrra, tmp_path: Path) -> None:
    wait_for = app.task(cpu_bound=True)(cpu_jobs.wait_for)
    end = tmp_path / "end"
    await app.start()
    handle = await wait_for.submit(str(tmp_path), str(end))
    for times in range(1, 7):
        await until(lambda: len(runs(tmp_path, "wait_for")) == times)  # noqa: B023
        await app.stop(wait=False)
        assert await handle.status() is TaskStatus.PENDING
        assert not any(map(exists, runs(tmp_path, "wait_for")))
        await app.start()
    end.touch()
    assert await handle.result(30) == "done"
    await app.stop()


PARENT = """
import asyncio, sys
import cpu_jobs
from flowrra import Config, ExecutorConfig, Flowrra

app = Flowrra(Config(executor=ExecutorConfig(cpu_workers=3)))
spin = app.task(cpu_bound=True)(cpu_jobs.spin)

async def main():
    async with app:
        for _ in range(3):
            await spin.submit(sys.argv[1])
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_no_child_survives_its_killed_parent(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(cpu_jobs.__file__).parent), *filter(None, sys.path)])
    parent: subprocess.Popen[Any] = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", PARENT, str(tmp_path)], env={**os.environ, "PYTHONPATH": path}
    )
    try:
        await until(lambda: len(runs(tmp_path, "spin")) == 3 or parent.poll() is not None)
        pids = runs(tmp_path, "spin")
        assert len(pids) == 3
        assert all(map(exists, pids))
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not any(map(exists, pids)))
