"""A Redis server of the benchmark's own: on a free port, in memory only, ended with the run."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import redis

STARTED_WITHIN = 10.0
ALONE_WITHIN = 5.0


class Server:
    """Use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        if shutil.which("redis-server") is None:
            raise SystemExit("the benchmark starts a redis-server of its own and found none; install Redis")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / f"redis-{self.port}.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["redis-server", *options, "--dir", str(self._folder)], stdout=log, stderr=log
            )
        self._client = redis.Redis(port=self.port)
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + STARTED_WITHIN
        while True:
            try:
                self._client.ping()
            except redis.exceptions.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return

    def flush(self) -> None:
        """Forget everything, scripts and functions too."""
        self._client.flushall()
        self._client.script_flush()
        self._client.function_flush()

    def wait_alone(self) -> None:
        """Wait until everyone else has disconnected, and given back what connections take."""
        until = time.monotonic() + ALONE_WITHIN
        while len(self._client.client_list()) > 1 and time.monotonic() < until:
            time.sleep(0.02)

    def used_memory(self) -> int:
        """Bytes."""
        return int(self._client.info("memory")["used_memory"])

    def commands(self) -> int:
        """Commands processed so far, this question included."""
        return int(self._client.info("stats")["total_commands_processed"])

    @property
    def version(self) -> str:
        """Of the server."""
        return str(self._client.info("server")["redis_version"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
