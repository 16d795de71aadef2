"""Real Redis servers of the tests' own: private ports, private folders, ended by their process id."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis

#: Seconds in which a server on this machine must be up, or gone.
PATIENCE = 20


def binary(name: str) -> str:
    """Where a program is."""
    found = shutil.which(name)
    if found is None:
        message = f"these tests need {name}: make test installs it, or: apt-get install {name}"
        raise RuntimeError(message)
    return found


def free_port() -> int:
    """A port on which nothing listens, below those of outgoing connections, and the port that a cluster's
    node uses beside it."""
    while True:
        port = random.SystemRandom().randrange(10_000, 20_000)
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000))
            return port


class RedisServer:
    """A server with a folder of its own; starts in ``with``, or by ``start``.

    *options* are those of its configuration, with ``_`` for ``-``. Several values for one are a list.
    ``tls=True`` makes certificates and serves TLS only; ``unix=True`` serves a socket beside the port.
    """

    def __init__(self, *, tls: bool = False, unix: bool = False, **options: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="flowrra-redis-"))
        self.port = free_port()
        self.tls = tls
        self.socket = self.folder / "redis.sock" if unix else None
        self.options: dict[str, Any] = {"appendonly": "no", "save": "", **options}
        self.process: subprocess.Popen[bytes] | None = None
        if tls:
            make_certificates(self.folder)

    def start(self) -> Self:
        """Start it on its port, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary("redis-server"), *self._arguments()], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                said = (self.folder / "log").read_text()
                self.remove()
                raise RuntimeError(f"redis-server did not start:\n{said}")
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def restart(self) -> Self:
        """Crash, and start again with what it had on disk."""
        self.kill()
        return self.start()

    def remove(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, *, database: int = 0, port: int | None = None, **query: str) -> str:
        """The URL to reach it by, at another port through a proxy."""
        password = self.options.get("requirepass")
        login = f":{quote(password, safe='')}@" if password else ""
        options = "".join(f"&{name}={quote(value)}" for name, value in query.items())
        if self.tls:
            options += f"&ssl_ca_certs={self.folder / 'ca.pem'}"
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{login}127.0.0.1:{port or self.port}/{database}?{options.removeprefix('&')}"

    def unix_url(self, database: int = 0) -> str:
        """The URL of its socket."""
        return f"unix://{self.socket}?db={database}"

    def client(self) -> redis.Redis:
        """An operator's connection, to be used in ``with``."""
        secure: dict[str, Any] = (
            {"ssl": True, "ssl_ca_certs": str(self.folder / "ca.pem")} if self.tls else {}
        )
        return redis.Redis(
            port=self.port, host="127.0.0.1", password=self.options.get("requirepass"), protocol=2, **secure
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _arguments(self) -> list[str]:
        options = {"bind": "127.0.0.1", "dir": str(self.folder), "daemonize": "no", **self.options}
        options["tls-port" if self.tls else "port"] = self.port
        if self.tls:
            options |= {
                "port": 0, "tls-cert-file": "server.pem", "tls-key-file": "server.key",
                "tls-ca-cert-file": "ca.pem", "tls-auth-clients": self.options.get("tls_auth_clients", "no"),
            }  # fmt: skip
            options.pop("tls_auth_clients", None)
        if self.socket is not None:
            options["unixsocket"] = str(self.socket)
        return [
            part
            for name, value in options.items()
            for each in (value if isinstance(value, list) else [value])
            for part in (f"--{name.replace('_', '-')}", *(str(each).split() or [""]))
        ]

    def _answers(self) -> bool:
        with suppress(redis.exceptions.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            process.wait(PATIENCE)


class RedisCluster:
    """Three nodes, each a primary with a third of the slots."""

    def __init__(self) -> None:
        self.nodes = [
            RedisServer(cluster_enabled="yes", cluster_node_timeout=2000, cluster_require_full_coverage="yes")
            for _ in range(3)
        ]

    def start(self) -> Self:
        """Start the nodes, join them, and wait until each serves."""
        for node in self.nodes:
            node.start()
        for index, node in enumerate(self.nodes):
            with node.client() as client:
                first, last = index * 16384 // 3, (index + 1) * 16384 // 3 - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
                if index:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        end = time.monotonic() + PATIENCE
        while not all(self._serves(node) for node in self.nodes):
            if time.monotonic() > end:
                raise RuntimeError("the cluster did not come up")
            time.sleep(0.05)
        return self

    def url(self) -> str:
        """The URL of one of its nodes."""
        return self.nodes[0].url()

    def flush(self) -> None:
        """Delete everything."""
        for node in self.nodes:
            with node.client() as client:
                client.flushall()
                client.script_flush()

    def remove(self) -> None:
        """End the nodes and delete their folders."""
        for node in self.nodes:
            node.remove()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _serves(self, node: RedisServer) -> bool:
        with node.client() as client:
            info: Any = client.execute_command("CLUSTER", "INFO")
            known: Any = client.execute_command("CLUSTER", "SLOTS")
            text = info if isinstance(info, str) else str(info)
            return "ok" in text.partition("cluster_state")[2][:10] and len(known) == 3


async def until(condition: Callable[[], object]) -> None:
    """Wait for *condition*, which something else brings about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def make_certificates(folder: Path) -> None:
    """An authority, a server's certificate for 127.0.0.1 and a client's, good for two days."""
    openssl = binary("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True, timeout=30)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-days", "2", "-extfile", "names",
        )  # fmt: skip


def environment_url() -> str | None:
    """The server to use instead of a private one, from ``FLOWRRA_TEST_REDIS_URL``."""
    return os.environ.get("FLOWRRA_TEST_REDIS_URL") or None
