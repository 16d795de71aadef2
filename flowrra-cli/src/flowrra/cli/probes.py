"""Answers an orchestrator's probes over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

from flowrra.exceptions import ConfigError

logger: logging.Logger = logging.getLogger("flowrra.cli.worker")

#: Seconds that a client may take to ask, and how much it may send.
ASK_WITHIN: Final = 5.0
LONGEST_REQUEST: Final = 8192

Answer: TypeAlias = tuple[HTTPStatus, dict[str, Any]]


class Asked(Protocol):
    """Who knows the answers."""

    async def live(self) -> Answer:
        """Whether it is alive; if not, it should be started anew."""
        ...

    async def ready(self) -> Answer:
        """Whether it takes tasks."""
        ...


def answer(good: bool, facts: Mapping[str, Any]) -> Answer:
    """200 or 503, and why."""
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, {"status": "ok" if good else "failing", **facts}


class Probes:
    """A small HTTP server with ``/live`` and ``/ready``; each answers 200 or 503 and says why in JSON."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen, on a port of the system's choice for 0, and log where.

        Raises:
            ConfigError: The port can't be had.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_REQUEST)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"--health-port {port} on {host} can't be used: {reason}") from None
        port = self._server.sockets[0].getsockname()[1]
        logger.info("health: http://%s:%d/live and /ready", host, port)

    async def stop(self) -> None:
        """Listen no more. Harmless when it doesn't listen."""
        if self._server is not None:
            self._server.close()
            self._server = None

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
                return await self._asked.live()
            case "/ready":
                return await self._asked.ready()
            case _:
                return HTTPStatus.NOT_FOUND, {"error": "ask for /live or /ready"}


def _encode(status: HTTPStatus, body: Mapping[str, Any], *, with_body: bool) -> bytes:
    content = json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if with_body else b"")
