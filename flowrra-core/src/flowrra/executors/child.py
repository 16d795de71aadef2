"""What runs in a worker process of the CPU executor."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from contextvars import Context
from functools import partial
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, BinaryIO, Final, cast

from flowrra.call import Call, enter_call
from flowrra.exceptions import DecodingError, EncodingError, PayloadTooLargeError
from flowrra.executors.frames import Frame, pack_frame, read_frame
from flowrra.executors.loading import find_function
from flowrra.executors.plain import call_plain
from flowrra.executors.remote import RemoteError
from flowrra.serialization import encode_value
from flowrra.task import Task

#: Seconds between two reports of progress, and for leaving properly when the parent is gone.
_PROGRESS_EVERY: Final = 0.1
_LEAVING: Final = 2.0

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

#: What a call knows of itself beside task, id and arguments; and a log record beside its text.
_GIVEN: Final = ("attempt", "queue", "priority", "headers", "timeout", "deadline")
_RECORDED: Final = (
    "name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName", "created",
    "process",
)  # fmt: skip


def main(stream: BinaryIO, argv: list[str]) -> None:
    """Run the calls that come through *stream*, one at a time, until the parent hangs up."""
    sys.argv[:] = argv
    _ignore_signals()
    line = _Line(stream)
    _task_logger.propagate = False
    _task_logger.addHandler(_ToParent(line))
    while (frame := line.receive()) is not None:
        line.answer(*Context().run(_run, line, *frame))


def _ignore_signals() -> None:
    """Leave Ctrl-C and a service manager's SIGTERM to the parent, which drains."""

    def ignore(_signal: int, _frame: object) -> None:
        """A function of its own: programs that a task starts don't inherit it, as they would SIG_IGN."""

    before = {each: signal.signal(each, ignore) for each in _SIGNALS}

    def restore() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        allow()

    allow = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, _SIGNALS)
    hold = partial(signal.pthread_sigmask, signal.SIG_BLOCK, _SIGNALS)
    os.register_at_fork(before=hold, after_in_parent=allow, after_in_child=restore)
    allow()


class _Line:
    """The line to the parent. A thread of its own listens, and ends the process when the parent is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._file = stream.fileno()
        self._sending = threading.Lock()
        self._calls: SimpleQueue[Frame | None] = SimpleQueue()
        self._busy = False
        self._progress = _Progress(self)
        os.set_inheritable(self._file, False)
        os.register_at_fork(after_in_child=self._close)
        threading.Thread(target=self._listen, name="flowrra-line", daemon=True).start()

    def _listen(self) -> None:
        _die_with_parent()
        while (frame := read_frame(self._stream)) is not None:
            self._busy = True
            self._calls.put(frame)
        if not self._busy:
            self._calls.put(None)
            time.sleep(_LEAVING)
        os._exit(1)

    def receive(self) -> Frame | None:
        """The next call, or None at the end."""
        return self._calls.get()

    def report(self, call: Call) -> None:
        """Send a call's progress, but not too often."""
        self._progress.report(call)

    def answer(self, head: dict[str, Any], body: bytes) -> None:
        """Send what became of the call, after all that it reported and printed."""
        self._progress.flush()
        for output in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                output.flush()
        self._busy = False
        self.send(head, body)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        """Send one frame; the process ends if nobody is there."""
        rest = memoryview(pack_frame(head, body))
        with self._sending:
            while rest and self._file >= 0:
                try:
                    rest = rest[os.write(self._file, rest) :]
                except OSError:
                    os._exit(1)

    def _close(self) -> None:
        """In a process that a task forked: the line isn't its own."""
        os.close(self._file)
        self._file, self._sending = -1, threading.Lock()


class _Progress:
    """Sends the newest progress at once, or as soon as the last one is long enough ago."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._newest: bytes | None = None
        self._news = threading.Event()
        self._sender: threading.Thread | None = None
        self._sending = threading.Lock()

    def report(self, call: Call) -> None:
        """Take note of *call*'s progress."""
        self._newest = call.progress_data
        self._news.set()
        if self._sender is None:
            self._sender = threading.Thread(target=self._send, name="flowrra-progress", daemon=True)
            self._sender.start()

    def _send(self) -> None:
        while self._news.wait():
            self._news.clear()
            self.flush()
            time.sleep(_PROGRESS_EVERY)

    def flush(self) -> None:
        """Send what is not sent yet."""
        with self._sending:
            newest, self._newest = self._newest, None
            if newest is not None:
                self._line.send({"kind": "progress"}, newest)


class _RemoteCall(Call):
    """A call whose log lines are kept by the parent."""

    __slots__ = ("_line",)

    def __init__(self, line: _Line, head: dict[str, Any], task: Any, body: bytes) -> None:
        given = {name: head[name] for name in _GIVEN}
        super().__init__(task, head["id"], body, on_progress=line.report, **given)
        self._line = line

    def keep_line(self, line: str) -> None:
        """Hand the line to the parent."""
        self._line.send({"kind": "line", "text": line})


class _ToParent(logging.Handler):
    """Hands log records of tasks to the parent."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """Send what is in *record* as text and numbers."""
        facts = {name: getattr(record, name) for name in _RECORDED}
        facts["msg"] = record.getMessage()
        if record.exc_info:
            facts["exc_text"] = logging.Formatter().formatException(record.exc_info)
        self._line.send({"kind": "record", "record": facts})


#: What ends the same way each time.
_FINAL: Final = (EncodingError, DecodingError, PayloadTooLargeError)

_task_logger: Final = logging.getLogger("flowrra.task")


def _run(line: _Line, head: dict[str, Any], body: bytes) -> Frame:
    """Run one call; whatever happens to it becomes an answer."""
    _task_logger.setLevel(head["level"])
    try:
        call = _RemoteCall(line, head, _task(head), body)
    except Exception as error:
        return _failure(error, retryable=False)
    enter_call(call)
    try:
        value = call_plain(call)
    except BaseException as error:
        return _failure(error, retryable=not isinstance(error, _FINAL))
    try:
        return {"kind": "value"}, encode_value(value, what=f"the result of task {call.name!r}")
    except Exception as error:
        return _failure(error, retryable=False)


def _task(head: dict[str, Any]) -> Any:
    """The task of this name, as far as this process has it."""
    found = find_function(head["path"], head["file"], is_main=head["is_main"])
    if isinstance(found, Task):
        task = cast("Task[..., Any, Any]", found)
        if task.name == head["name"]:
            return task
        found = task.function
    if not callable(found):
        raise TypeError(f"{head['path']} is no function in a worker process but {found!r:.100}")
    return SimpleNamespace(name=head["name"], function=found, kind="cpu", path=head["path"])


def _failure(error: BaseException, *, retryable: bool) -> Frame:
    return {"kind": "error", "error": RemoteError.describe(error, retryable=retryable).to_dict()}, b""


def _die_with_parent() -> None:
    """Ask the kernel, where it can, to kill this process with its parent: the listener can't run while
    a function of a C extension holds the interpreter's lock."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
