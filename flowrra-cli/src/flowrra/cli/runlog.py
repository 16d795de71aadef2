"""The line that a worker prints for each attempt at a task."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from flowrra.app import Flowrra
from flowrra.cli.output import plain, seconds
from flowrra.hookspecs import hookimpl
from flowrra.result import TaskResult
from flowrra.status import TaskStatus

logger: logging.Logger = logging.getLogger("flowrra.cli.runs")

#: Characters of a result or an error that one line shows.
SHOWN: Final = 100

_WORDS: Final = {
    TaskStatus.SUCCESS: "ok",
    TaskStatus.FAILED: "FAILED",
    TaskStatus.CANCELLED: "cancelled",
    TaskStatus.RETRYING: "retry",
}
_LEVELS: Final = {TaskStatus.FAILED: logging.ERROR, TaskStatus.RETRYING: logging.WARNING}


class RunLog:
    """A plugin that logs every attempt that ends on this worker."""

    @hookimpl
    def flowrra_task_finished(self, results: Sequence[TaskResult]) -> None:
        """Log final results."""
        for result in results:
            _log(result)

    @hookimpl
    def flowrra_task_retrying(self, results: Sequence[TaskResult]) -> None:
        """Log attempts that failed and will be repeated."""
        for result in results:
            _log(result)


def log_runs(app: Flowrra) -> None:
    """Log every attempt of the worker that *app* will start."""
    app.engine.add_plugin(RunLog())


def line(result: TaskResult) -> str:
    """``ok     resize  5c1f09ab  waited 2.1 ms  ran 1.20 s  → 42``."""
    times = f"waited {seconds(waited(result)):<8}" if waited(result) is not None else "not started    "
    ran = _ran(result)
    times += f"  ran {seconds(ran):<8}" if ran is not None else ""
    word = _WORDS.get(result.status, "")
    return f"{word:<9} {result.task_name}  {short(result.task_id)}  {times}  {outcome(result)}".rstrip()


def short(task_id: str) -> str:
    """The end of an id, which tells it apart from others; ``flowrra runs show`` takes it."""
    return task_id[-8:]


def outcome(result: TaskResult) -> str:
    """What came out, on one line."""
    if result.status is TaskStatus.SUCCESS:
        return "" if result.result is None else f"→ {_cut(repr(result.result))}"
    where = "" if result.status is TaskStatus.CANCELLED else _place(result.traceback)
    again = ""
    if result.status is TaskStatus.RETRYING and result.due_at is not None and result.attempts:
        delay = (result.due_at - result.attempts[-1].started_at).total_seconds()
        again = f"; attempt {result.retries + 1} in {seconds(max(delay, 0.0))}"
    return f"{_cut(result.error or '')}{where}{again}"


def waited(result: TaskResult) -> float | None:
    """Seconds between submission and the first start."""
    started = result.attempts[0].started_at if result.attempts else result.started_at
    return _between(result.submitted_at, started)


def _ran(result: TaskResult) -> float | None:
    if result.attempts:
        return _between(result.attempts[-1].started_at, result.attempts[-1].finished_at)
    return _between(result.started_at, result.finished_at)


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)


def _place(trace: str | None) -> str:
    """File and line of the innermost frame of a traceback."""
    frames = [each.strip() for each in (trace or "").splitlines() if each.strip().startswith('File "')]
    if not frames:
        return ""
    file, _, rest = frames[-1].removeprefix('File "').partition('"')
    return f" ({file.rpartition('/')[2]}:{rest.removeprefix(', line ').partition(',')[0]})"


def _cut(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= SHOWN else f"{first[: SHOWN - 1]}…"


def _log(result: TaskResult) -> None:
    level = _LEVELS.get(result.status, logging.INFO)
    if logger.isEnabledFor(level):
        logger.log(level, line(result), extra=_facts(result))


def _facts(result: TaskResult) -> dict[str, Any]:
    return {
        "task_id": result.task_id,
        "task": result.task_name,
        "queue": result.queue,
        "status": result.status.value,
        "retries": result.retries,
        "waited": waited(result),
        "ran": _ran(result),
        "error": result.error,
        "result": json.dumps(plain(result.result))[:SHOWN] if result.result is not None else None,
    }
