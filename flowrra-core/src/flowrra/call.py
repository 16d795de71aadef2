"""One attempt at a task, as executors, middleware and the task itself see it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowrra.serialization import clip, decode_arguments, encode_value

if TYPE_CHECKING:
    from flowrra.task import Task

#: The newest lines of a task's log that are kept with the attempt, and their size in characters.
LOG_LINES: Final = 100
LOG_SIZE: Final = 16 * 1024


class EncodedValue(NamedTuple):
    """A result that its executor has encoded already."""

    data: bytes


class Call:
    """One attempt at a task. ``current_task()`` returns it inside the task."""

    __slots__ = (
        "_body", "_logger", "_on_progress", "attempt", "cancelled", "deadline", "headers",
        "id", "lines", "priority", "progress_data", "queue", "task", "timeout",
    )  # fmt: skip

    def __init__(
        self,
        task: Task[Any, Any, Any],
        id: str,
        body: bytes,
        *,
        attempt: int = 1,
        queue: str = "default",
        priority: int = 0,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        on_progress: Callable[[Call], object] | None = None,
    ) -> None:
        self.task: Task[Any, Any, Any] = task
        self.id: str = id
        #: 1 for the first attempt.
        self.attempt: int = attempt
        self.queue: str = queue
        self.priority: int = priority
        self.headers: Mapping[str, str] = headers or {}
        #: Seconds that this attempt may take, or None.
        self.timeout: float | None = timeout
        #: When this attempt times out, epoch seconds, or None.
        self.deadline: float | None = deadline
        #: Whether the task was asked to stop; worth a look now and then in a thread.
        self.cancelled: bool = False
        self.progress_data: bytes | None = None
        self._body = body
        self._on_progress = on_progress
        #: The newest lines that the task logged, if it did.
        self.lines: deque[str] | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.task.name

    @property
    def body(self) -> bytes:
        """The encoded arguments."""
        return self._body

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Decode positional and keyword arguments.

        Raises:
            DecodingError: The message's bytes are damaged or from a newer version.
        """
        return decode_arguments(self._body)

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Report how far the task is. Cheap, callable from any kind of executor; the newest report
        is kept with the run and sent on at most once a second."""
        self.progress_data = encode_value({"done": done, "total": total, "message": message})
        if self._on_progress is not None:
            self._on_progress(self)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the task's id, and whose newest lines are kept with the attempt."""
        if self._logger is None:
            self._logger = _TaskLogger(self)
        return self._logger

    def keep_line(self, line: str) -> None:
        """Keep *line* with the attempt."""
        if self.lines is None:
            self.lines = deque(maxlen=LOG_LINES)
        self.lines.append(clip(line, LOG_SIZE))

    def log_text(self) -> str | None:
        """The newest lines that the task logged, at most 100 and 16 KiB, or None."""
        if not self.lines:
            return None
        kept: list[str] = []
        size = 0
        for line in reversed(self.lines):
            size += len(line) + 1
            if size > LOG_SIZE:
                break
            kept.append(line)
        return "\n".join(reversed(kept))


class _TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs under ``flowrra.task.<name>`` and keeps the lines with the call."""

    def __init__(self, call: Call) -> None:
        super().__init__(
            logging.getLogger(f"flowrra.task.{call.name}"),
            {"task_id": call.id, "task": call.name, "queue": call.queue, "attempt": call.attempt},
        )
        self._call = call

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log, and keep the line whatever the level that handlers are set to."""
        text = str(msg) % args if args else str(msg)
        self._call.keep_line(f"{logging.getLevelName(level)} {text}")
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        super().log(level, msg, *args, **kwargs)


_current: ContextVar[Call] = ContextVar("flowrra_current_call")


#: Makes a call the current one in this context. For executors.
enter_call: Final[Callable[[Call], object]] = _current.set


def current_task() -> Call:
    """The running task's own call: id, name, attempt, deadline, headers, log, progress.

    Raises:
        LookupError: Not inside a task.
    """
    try:
        return _current.get()
    except LookupError:
        raise LookupError("current_task() works only inside a running task") from None
