"""Functions that the integration tests run in worker processes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from flowrra import current_task


class TwoArgumentsError(ValueError):
    """Can't be unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def note(folder: str, name: object) -> None:
    """Write down that this process runs it."""
    with Path(folder, str(name)).open("a") as file:
        file.write(f"{os.getpid()}\n")


def work(folder: str, n: int) -> int:
    note(folder, n)
    time.sleep(0.004)
    return n


def spin(folder: str) -> None:
    note(folder, "spin")
    while True:
        pass


def raise_two(folder: str) -> None:
    note(folder, "raise_two")
    raise TwoArgumentsError("this", "that")


def return_lock(folder: str) -> Any:
    note(folder, "return_lock")
    return threading.Lock()


def exit_once(folder: str) -> str:
    before = Path(folder, "exit_once").exists()
    note(folder, "exit_once")
    if not before:
        os._exit(3)
    return "second time"


def always_exit(folder: str) -> None:
    note(folder, "always_exit")
    os._exit(0)


def wait_for(folder: str, end: str) -> str:
    note(folder, "wait_for")
    while not Path(end).exists():
        time.sleep(0.002)
    return "done"


def report() -> dict[str, object]:
    task = current_task()
    task.log.info("attempt %d", task.attempt)
    task.progress(task.attempt, 3, "going")
    if task.attempt < 3:
        raise LookupError("not yet")
    return {"id": task.id, "name": task.name, "headers": dict(task.headers), "queue": task.queue}
