"""Answers an orchestrator's probes: whether the worker is alive, and whether it is ready."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from flowrra.app import Flowrra
from flowrra.exceptions import ConfigError

#: Seconds without a claim, although there is room for tasks, after which a worker counts as stuck.
CLAIM_WITHIN: Final = 60.0
#: Seconds that the broker may take to answer.
ANSWER_WITHIN: Final = 2.0
#: Seconds that a client may take to ask, and how much it may send.
ASK_WITHIN: Final = 5.0
LONGEST_REQUEST: Final = 8192

Answer = tuple[HTTPStatus, dict[str, Any]]


class Health:
    """A small HTTP server with ``/live`` and ``/ready``; each answers 200 or 503 and says why in JSON."""

    def __init__(self, app: Flowrra) -> None:
        self._app = app
        self._server: asyncio.Server | None = None
        #: Set when the worker drains: alive, but not ready.
        self.draining: bool = False

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (of the system's choice for 0).

        Raises:
            ConfigError: The port can't be had.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_REQUEST)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"--health-port {port} on {host} can't be used: {reason}") from None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more. Harmless when it doesn't listen."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def live(self) -> Answer:
        """The loop turns, or nobody would answer; and tasks are claimed while there is room for them."""
        worker = self._app.engine.worker
        if worker is None:
            return _answer(self._app.is_running or self.draining, {"worker": None})
        age = time.monotonic() - worker.last_claim
        has_room = any(executor.room() > 0 for executor in self._app.executors.made.values())
        facts = {"worker": worker.name, "last_claim_seconds": round(age, 3), "running": len(worker.running)}
        return _answer(age <= CLAIM_WITHIN or not has_room, facts)

    async def ready(self) -> Answer:
        """Started, not draining, and the broker answers."""
        facts: dict[str, Any] = {"started": self._app.is_running, "draining": self.draining}
        answers = self._app.is_running and await self._broker_answers()
        return _answer(answers and not self.draining, {**facts, "broker": answers})

    async def _broker_answers(self) -> bool:
        admin = self._app.engine.connections.broker.admin
        if admin is None:
            worker = self._app.engine.worker
            return worker is not None and time.monotonic() - worker.last_claim <= CLAIM_WITHIN
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await admin.find(["health"])
        except Exception:
            return False
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_WITHIN):
                request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
                status, body = await self._respond(request)
                writer.write(_encode(status, body, with_body=not request.startswith(b"HEAD ")))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _respond(self, request: bytes) -> Answer:
        words = request.decode("latin-1").split()
        if len(words) != 3 or words[0] not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET is answered"}
        match words[1].partition("?")[0]:
            case "/live":
                return self.live()
            case "/ready":
                return await self.ready()
            case _:
                return HTTPStatus.NOT_FOUND, {"error": "ask for /live or /ready"}


def _answer(good: bool, facts: Mapping[str, Any]) -> Answer:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, {"status": "ok" if good else "failing", **facts}


def _encode(status: HTTPStatus, body: Mapping[str, Any], *, with_body: bool) -> bytes:
    content = json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if with_body else b"")
