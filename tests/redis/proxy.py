"""A TCP proxy that does to a connection what bad networks do. Runs in the test's event loop."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Literal, Self

Mode = Literal["pass", "blackhole", "reset"]


class Proxy:
    """Listens on ``port`` and passes everything on to *target*, a port of this machine.

    Its settings hold for bytes that come after they are set.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        #: ``blackhole`` takes bytes and passes none on; ``reset`` resets whoever connects or sends.
        self.mode: Mode = "pass"
        #: Seconds that bytes are held, in each direction.
        self.latency = 0.0
        #: How many of the server's next answers are lost, each with its connection. The requests go through.
        self.drops = 0
        #: Bytes in one write, at most.
        self.slice: int | None = None
        #: Bytes a second, in each direction.
        self.bandwidth: float | None = None
        #: Connections that were made so far.
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every connection there is."""
        for writer in list(self._writers):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.mode == "reset":
                return
            with suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            _reset(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.add(to_server)
        pumps = [
            asyncio.create_task(self._pump(reader, to_server, answers=False)),
            asyncio.create_task(self._pump(there, writer, answers=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(to_server)
            to_server.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await source.read(65536):
            if self.mode == "blackhole":
                continue
            if self.mode == "reset":
                return
            if answers and self.drops:
                self.drops -= 1
                return
            if self.latency:
                await asyncio.sleep(self.latency)
            if self.bandwidth:
                await asyncio.sleep(len(data) / self.bandwidth)
            size = self.slice or len(data)
            for start in range(0, len(data), size):
                sink.write(data[start : start + size])
                await sink.drain()
                if self.slice:
                    await asyncio.sleep(0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a goodbye, so that the other side sees a reset."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
