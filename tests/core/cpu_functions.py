"""Functions that the tests of the CPU executor run in worker processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from executor_calls import make_task

from flowrra.call import current_task
from flowrra.executors.loading import stop_here_if_loading


class TwoArgumentsError(ValueError):
    """Can't be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _announce(path: str) -> None:
    """Leave this process's id at *path*, all at once: who sees the file can read it."""
    beside = Path(f"{path}.{os.getpid()}")
    beside.write_text(str(os.getpid()))
    beside.rename(path)


def add(a: int, b: int) -> int:
    return a + b


def echo(value: Any) -> Any:
    return value


def raise_two() -> None:
    raise TwoArgumentsError("this", "that")


def raise_unreadable() -> None:
    raise UnreadableError


def return_generator() -> Any:
    return (n for n in range(3))


def return_lambda() -> Any:
    return lambda: None


def return_lock() -> Any:
    return threading.Lock()


def return_much() -> str:
    return "x" * (1024 * 1024)


def return_awaitable() -> Any:
    return asyncio.sleep(0)


def leave() -> None:
    sys.exit("gone")


def interrupt() -> None:
    raise KeyboardInterrupt


def exit_at_once(code: int) -> None:
    os._exit(code)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def process_id() -> int:
    return os.getpid()


def spin(started: str) -> None:
    _announce(started)
    while True:
        pass


def wait_for(started: str, end: str) -> int:
    _announce(started)
    while not Path(end).exists():
        time.sleep(0.002)
    return os.getpid()


def fork_and_exit(end: str) -> None:
    """Leaves a process behind that lives on."""
    if os.fork() == 0:
        while not Path(end).exists():
            time.sleep(0.002)
        os._exit(0)
    os._exit(7)


def started_by_fork() -> int:
    """The exit code of a forked process that is sent SIGTERM."""
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(1)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def started_by_subprocess() -> int:
    """The exit code of a program that is sent SIGINT."""
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    return subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"


def open_files() -> list[str]:
    links = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(link.readlink()))
        except FileNotFoundError:
            pass  # the listing's own
    return links


def facts() -> dict[str, Any]:
    task = current_task()
    return {
        "id": task.id,
        "name": task.name,
        "attempt": task.attempt,
        "queue": task.queue,
        "priority": task.priority,
        "headers": dict(task.headers),
        "timeout": task.timeout,
        "deadline": task.deadline,
    }


def report(count: int) -> None:
    for done in range(1, count + 1):
        current_task().progress(done, count, "counting")


def report_and_wait(started: str, end: str) -> None:
    current_task().progress(1, 3)
    current_task().progress(2, 3)
    wait_for(started, end)


def log_and_fail() -> None:
    log = current_task().log
    log.debug("a %s", "detail")
    log.warning("a warning")
    try:
        raise ValueError("inner")
    except ValueError:
        log.exception("caught")
    raise RuntimeError("outer")


def log_level() -> int:
    return logging.getLogger("flowrra.task.x").getEffectiveLevel()


def deep() -> int:
    return deep() + 1


@make_task
def as_task(a: int) -> int:
    return a * 2


def under_another_name(a: int) -> int:
    return a * 3


class Holder:
    @staticmethod
    def inside(a: int) -> int:
        return a * 4


not_a_function = 5
stop_here_if_loading()
after_the_start = add
