"""One worker process of the CPU executor, as its parent sees it."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from flowrra.call import Call, EncodedValue
from flowrra.exceptions import ExecutorCrashedError
from flowrra.executors.frames import FrameBuffer, pack_frame
from flowrra.executors.remote import NotStartedError, RemoteError, real_module
from flowrra.serialization import decode_value

#: The child's first lines: where to find modules comes before everything else.
_BOOT: Final = (
    "import json, sys; stream = open({file}, 'rb'); setup = json.loads(stream.readline()); "
    "sys.path[:] = setup['path']; from flowrra.executors.child import main; main(stream, setup['argv'])"
)

#: Seconds that a process has to end when its line is cut.
_LEAVING: Final = 3.0


class WorkerProcess:
    """A fresh interpreter that runs one call at a time. Belongs to the loop that started it.

    *ended* is told when it is over with the process, whatever the reason.
    """

    def __init__(self, ended: Callable[[WorkerProcess], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._socket, self._process = _spawn()
        self.pid: Final = self._process.pid
        self._frames = FrameBuffer()
        self._unsent = bytearray()
        self._call: Call | None = None
        self._answer: asyncio.Future[object] | None = None
        self._end: asyncio.Task[None] | None = None
        self._has_served = self._left_unread = False
        self._loop.add_reader(self._socket, self._read)
        path = [folder or str(Path.cwd()) for folder in sys.path]
        self._send(json.dumps({"path": path, "argv": sys.argv}).encode() + b"\n")

    def is_usable(self) -> bool:
        """Whether a call can be given to it."""
        return self._end is None and self._process.poll() is None

    async def run(self, call: Call) -> object:
        """Run one call. Cancelling this kills the process.

        Raises:
            RemoteError: What the task raised, as text.
            ExecutorCrashedError: The process died.
            NotStartedError: It had died before, and nobody had noticed.
        """
        self._call, self._answer = call, self._loop.create_future()
        self._send(pack_frame(_head(call), call.body))
        try:
            return await self._answer
        finally:
            self._answer = None
            self._give_up()

    def _give_up(self) -> None:
        """Kill the process if it still runs the call."""
        if self._call is not None:
            self._call = None
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self.hang_up()

    def hang_up(self) -> None:
        """Cut the line: an idle process ends by itself, properly, within moments."""
        if self._end is None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._end = self._loop.create_task(self._reap(), name=f"flowrra-reap-{self.pid}")

    async def closed(self) -> None:
        """Cut the line and wait for the end of the process."""
        self.hang_up()
        if self._end is not None:
            await asyncio.shield(self._end)

    async def _reap(self) -> None:
        """Wait for the process's end, and tell those concerned."""
        limit, pause = self._loop.time() + _LEAVING, 0.001
        while self._process.poll() is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)
            if self._loop.time() > limit:
                self._process.kill()
        if self._has_served and self._left_unread and self._answer is not None:
            self._call = None
            self._answer.set_exception(NotStartedError())
        self.fail(f"worker process {self.pid} {_death(self._process.returncode)} while it ran")
        self._ended(self)

    def fail(self, what: str) -> None:
        """Let the running call, if there is one, fail with *what* and the task's name."""
        call, self._call = self._call, None
        if call is not None and self._answer is not None and not self._answer.done():
            self._answer.set_exception(ExecutorCrashedError(f"{what} task {call.name!r} ({call.id})"))

    def _send(self, data: bytes) -> None:
        self._unsent += data
        self._write()

    def _write(self) -> None:
        """Send what the line takes now, and the rest when it takes more."""
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._unsent.clear()
            self._left_unread = True
        if self._unsent:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        try:
            data = self._socket.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, self._left_unread = b"", True
        if not data:
            self.hang_up()
            return
        for head, body in self._frames.feed(data):
            if self._call is not None and self._answer is not None and not self._answer.done():
                self._receive(self._call, self._answer, head, body)

    def _receive(self, call: Call, answer: asyncio.Future[object], head: dict[str, Any], body: bytes) -> None:
        kind = head["kind"]
        if kind == "progress":
            call.progress(**decode_value(body))
        elif kind == "line":
            call.keep_line(head["text"])
        elif kind == "record":
            _log(call, head["record"])
        else:
            self._call, self._has_served = None, True
            if kind == "value":
                answer.set_result(EncodedValue(body))
            else:
                answer.set_exception(RemoteError.from_dict(head["error"]))


def _spawn() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start an interpreter that inherits one end of a new line and no other file."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    options: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    boot = _BOOT.format(file=theirs.fileno())
    # Held back until the child has its own handlers, so that Ctrl-C finds none that is half started.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        with theirs:
            command = [sys.executable, *options, "-P", "-c", boot]
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
    except OSError as error:
        ours.close()
        raise ExecutorCrashedError(f"no worker process could be started: {error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return ours, process


def _head(call: Call) -> dict[str, Any]:
    """What the child needs to know about a call."""
    module, _, qualname = call.task.path.partition(":")
    return {
        "path": f"{real_module(module)}:{qualname}",
        "is_main": module == "__main__",
        "file": getattr(sys.modules.get(module), "__file__", None) or call.task.file,
        "name": call.name,
        "id": call.id,
        "attempt": call.attempt,
        "queue": call.queue,
        "priority": call.priority,
        "headers": dict(call.headers),
        "timeout": call.timeout,
        "deadline": call.deadline,
        "level": logging.getLogger(f"flowrra.task.{call.name}").getEffectiveLevel(),
    }


def _log(call: Call, facts: Mapping[str, Any]) -> None:
    """Log what the child logged, as if it had happened here."""
    logger = logging.getLogger(facts["name"])
    if logger.isEnabledFor(facts["levelno"]):
        ids = {"task_id": call.id, "task": call.name, "queue": call.queue, "attempt": call.attempt}
        logger.handle(logging.makeLogRecord({**facts, **ids}))


def _death(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}{' (often a lack of memory)' if name == 'SIGKILL' else ''}"
