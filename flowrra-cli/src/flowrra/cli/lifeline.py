"""The line between a supervisor and each of its worker processes: a socket pair that carries JSON lines.

The process says ``{"up": false}`` when it listens, and ``{"up": true}`` once it has started. The supervisor
asks ``{"id": 1, "ask": "ready"}`` and hears ``{"id": 1, "status": 200, "facts": {...}}``; its orders are
``{"order": "drain"}`` and ``{"order": "stop"}``. When the supervisor is gone, however that came, the line
ends, and the process drains.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from typing import Any, Final

from flowrra.cli.probes import Answer, Asked, answer
from flowrra.cli.signals import Signals

logger: logging.Logger = logging.getLogger("flowrra.cli.worker")

#: Seconds that a process may take to answer: longer than it gives its broker.
ANSWER_WITHIN: Final = 3.0
#: Seconds that the last words of a process may take to arrive after its end.
_LAST_WORDS: Final = 0.5


class Child:
    """A worker process, as its supervisor sees it. Made by :meth:`start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._listening = asyncio.create_task(self._listen())
        self.pid: Final = process.pid
        #: Whether it takes orders.
        self._listens = False
        #: Whether it has started, with all its connections.
        self.is_up: bool = False
        #: Whether it was told to end.
        self.is_dismissed: bool = False

    @classmethod
    async def start(cls, command: Sequence[str]) -> Child:
        """Start *command*, in a group of its own: a terminal's Ctrl-C comes through the supervisor.

        Raises:
            OSError: The system refuses.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *command, "--supervised", str(theirs.fileno()), stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()], start_new_session=True,
                )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        return cls(process, *await asyncio.open_connection(sock=ours))

    def dismiss(self) -> None:
        """Ask it to drain; the second time, to stop at once.

        Not by a signal, for a service manager may send the same one to every process: that would be two.
        """
        order = "stop" if self.is_dismissed else "drain"
        self.is_dismissed = True
        if self._listens:
            _say(self._writer, {"order": order})
        else:
            self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it now. Harmless after its end."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        # Not by the process object: it looks for the exit code first, and takes it from who waits for it.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end; the exit code, or a signal's number below zero."""
        code = await self._process.wait()
        await asyncio.wait({self._listening}, timeout=_LAST_WORDS)
        self._listening.cancel()
        self._writer.close()
        return code

    async def ask(self, question: str) -> Answer:
        """What it answers to ``live`` or ``ready``; 503 if it doesn't answer within three seconds."""
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        _say(self._writer, {"id": number, "ask": question})
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._asked[number]
        except TimeoutError:
            return answer(False, {"error": f"no answer within {ANSWER_WITHIN:g} s"})
        finally:
            del self._asked[number]

    async def _listen(self) -> None:
        with suppress(OSError):
            while line := await self._reader.readline():
                said = json.loads(line)
                if "up" in said:
                    self._listens, self.is_up = True, said["up"]
                elif (asked := self._asked.get(said["id"])) is not None and not asked.done():
                    asked.set_result((HTTPStatus(said["status"]), said["facts"]))


class Lifeline:
    """The line, as the worker process sees it."""

    def __init__(self, asked: Asked, signals: Signals) -> None:
        self._asked = asked
        self._signals = signals
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def hold(self, descriptor: int) -> None:
        """Obey and answer the supervisor from now on, and notice its end."""
        line = socket.socket(fileno=descriptor)
        line.set_inheritable(False)
        reader, self._writer = await asyncio.open_connection(sock=line)
        self._spawn(self._follow(reader, self._writer))
        _say(self._writer, {"up": False})

    def say_up(self) -> None:
        """Tell that the worker has started."""
        if self._writer is not None:
            _say(self._writer, {"up": True})

    async def let_go(self) -> None:
        """Answer no more. Harmless when nothing is held."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()

    def _spawn(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                match json.loads(line):
                    case {"order": "drain"}:
                        self._signals.drain()
                    case {"order": "stop"}:
                        self._signals.stop()
                    case asked:
                        self._spawn(self._answer(writer, asked["ask"], asked["id"]))
        logger.warning("the supervising process is gone; this one ends too")
        self._signals.drain()

    async def _answer(self, writer: asyncio.StreamWriter, question: str, number: int) -> None:
        status, facts = await (self._asked.live() if question == "live" else self._asked.ready())
        _say(writer, {"id": number, "status": status, "facts": facts})


def _say(writer: asyncio.StreamWriter, what: Mapping[str, Any]) -> None:
    writer.write(json.dumps(what).encode() + b"\n")
