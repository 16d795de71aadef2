"""A password stays where it is: in no message, log record, repr or output, whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from proxy import Proxy
from servers import RedisServer, free_port, until

from flowrra.app import Flowrra
from flowrra.config import BackendConfig, BrokerConfig, Config
from flowrra.exceptions import FlowrraError, PermanentError, TransientError
from flowrra.redis import RedisBackend, RedisBroker
from flowrra.redis.calls import Role
from flowrra.url import URL

PLAIN = "c4nary-4711"
#: What stands in a URL, some letters of it encoded that need not be.
SPECIAL = "%634nary" + quote("/?#@: %4711é", safe="")
PASSWORDS = [PLAIN, SPECIAL]
#: No text may hold any of these.
TRACES = ("c4nary", "%634nary", "4711")

TASKS = """
import asyncio, os
from flowrra import Flowrra

app = Flowrra(broker=os.environ["FLOWRRA_BROKER_URL"])

@app.task()
async def add(a: int, b: int) -> int:
    return a + b

@app.task()
async def nap(seconds):
    print("napping", flush=True)
    await asyncio.sleep(seconds)
"""


def decoded(password: str) -> str:
    return URL.parse(f"redis://:{password}@localhost").password or ""


def url_of(port: int, password: str, user: str = "") -> str:
    return f"redis://{user}:{password}@127.0.0.1:{port}/0"


def server_for(password: str, *rules: str, **options: Any) -> RedisServer:
    """A server with an ordinary user of this password, without the default one; ``admin`` looks after it."""
    users = [f"app on #{sha256(decoded(password))} {' '.join(rules or ('~*', '&*', '+@all'))}"]
    return RedisServer(user=users, **options)


def sha256(text: str) -> str:
    from hashlib import sha256 as digest

    return digest(text.encode()).hexdigest()


class Told:
    """All that somebody could get to see."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.texts: list[str] = []
        self._log = log

    def see(self, *things: object) -> None:
        """Note how things are shown."""
        self.texts += [shown for thing in things for shown in (repr(thing), str(thing))]

    def see_error(self, error: BaseException | None) -> None:
        """Note an error with all that led to it, also what a traceback hides."""
        if error is not None:
            self.texts += traceback.format_exception(error)
            self.see(error, error.args, vars(error))
            self.see_error(error.__cause__)
            self.see_error(error.__context__)

    def see_app(self, app: Flowrra) -> None:
        """Note an application and every part of it that holds a connection."""
        connections = app.engine.connections
        self.see(app, app.config, app.config.broker, connections.broker_config, connections.backend_config)
        for end in (connections.broker, connections.backend):
            assert isinstance(end, RedisBroker | RedisBackend)
            self.see(end, end._config, end.server, end.server._address, end.server._address.wire())
            if end.server._map is not None:
                for node in end.server._map:
                    link = node.link(Role.COMMAND)
                    self.see(node, node.address, link, link._wire)

    def check(self) -> str:
        """Look for the password; all that was told."""
        formatter = logging.Formatter("%(name)s %(message)s")
        told = "\n".join([*self.texts, *map(formatter.format, self._log.records)])
        for trace in TRACES:
            assert trace not in told
        return told


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """Every logger, those of redis-py and asyncio too, tells all it can."""
    caplog.set_level(logging.DEBUG)
    return Told(caplog)


def application(url: str, timeout: float = 0.5) -> Flowrra:
    app = Flowrra(Config(broker=BrokerConfig(url=url, socket_timeout=timeout, lease=3.0)))

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    @app.task()
    async def nap(seconds: float) -> None:
        await asyncio.sleep(seconds)

    @app.task(max_retries=0)
    async def fail() -> None:
        raise ValueError("no")

    return app


async def refused(told: Told, url: str, kind: type[FlowrraError]) -> None:
    """Everything that connects says why it can't."""
    app = application(url)
    with pytest.raises(kind) as starting:
        await app.start()
    told.see_error(starting.value)
    told.see_app(app)


@pytest.mark.parametrize("password", PASSWORDS)
async def test_work_shows_no_password(told: Told, password: str) -> None:
    """Submitting, running, failing, waiting, with a server that crashes in the middle."""
    with server_for(password, appendonly="yes") as server:
        app = application(url_of(server.port, password, "app"))
        async with app:
            assert (await app.wait_for_result(await app.submit("add", 1, 2), 10)).result == 3
            failed = await app.wait_for_result(await app.submit("fail"), 10)
            told.see(failed, failed.error)
            told.see_app(app)
            await app.submit("nap", 0.2)
            await until(lambda: app.engine.worker and app.engine.worker.running)
            server.kill()
            with pytest.raises(TransientError) as away:
                await app.submit("add", 1, 2)
            told.see_error(away.value)
            await until(lambda: "can't settle" in told._log.text)
            server.start()
            assert (await app.wait_for_result(await app.submit("add", 3, 4), 20)).result == 7
            told.see_app(app)

    assert "can't settle finished tasks: TransientError" in told.check()


@pytest.mark.parametrize("password", PASSWORDS)
async def test_a_refused_login_shows_no_password(told: Told, password: str) -> None:
    with server_for(PLAIN + "-another") as server:
        for user in ("app", "nobody"):
            await refused(told, url_of(server.port, password, user), PermanentError)

    assert "refuses the login" in told.check()


async def test_a_login_that_is_refused_later_shows_no_password(told: Told) -> None:
    """The password is changed while a worker runs."""
    with server_for(PLAIN) as server, server.client() as admin:
        app = application(url_of(server.port, PLAIN, "app"))
        async with app:
            await app.wait_for_result(await app.submit("add", 1, 2), 10)
            admin.acl_setuser("app", enabled=True, reset_passwords=True, passwords=["+another"])
            admin.execute_command("CLIENT", "KILL", "USER", "app")
            with pytest.raises(PermanentError) as gone:
                await app.submit("add", 1, 2)
            told.see_error(gone.value)
            await until(lambda: "can't claim" in told._log.text)
            told.see_app(app)
            admin.acl_setuser("app", enabled=True, reset_passwords=True, passwords=[f"+{PLAIN}"])
            assert (await app.wait_for_result(await app.submit("add", 1, 2), 10)).result == 3

    assert "refuses the login" in told.check()


@pytest.mark.parametrize("password", PASSWORDS)
async def test_a_server_without_logins_shows_no_password(told: Told, password: str) -> None:
    """It repeats what it doesn't understand: the command with the password."""
    with RedisServer(rename_command="AUTH elsewhere") as server:
        await refused(told, url_of(server.port, password), PermanentError)
        await refused(told, url_of(server.port, password, "app"), PermanentError)

    assert "unknown command" in told.check()


@pytest.mark.parametrize("password", PASSWORDS)
async def test_an_unreachable_server_shows_no_password(told: Told, password: str) -> None:
    await refused(told, url_of(free_port(), password), TransientError)
    async with Proxy(free_port()) as proxy:
        for proxy.mode in ("blackhole", "reset"):
            await refused(told, url_of(proxy.port, password), TransientError)
    server = await asyncio.start_server(_answer_nonsense, "127.0.0.1", 0)
    async with server:
        await refused(told, url_of(server.sockets[0].getsockname()[1], password), PermanentError)

    assert "is no Redis server" in told.check()


async def _answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Repeat what was sent, as what is no Redis server may do."""
    writer.write(b"HTTP/1.1 400 " + await reader.read(65536) + b"\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("password", PASSWORDS)
async def test_a_refused_command_shows_no_password(told: Told, password: str) -> None:
    """The user may not run scripts, or the server has no memory left."""
    with server_for(password, "~*", "&*", "+@all", "-evalsha") as server:
        await not_submitted(told, url_of(server.port, password, "app"), PermanentError)
    with server_for(password, maxmemory=1) as server:
        await not_submitted(told, url_of(server.port, password, "app"), TransientError)

    text = told.check()
    assert "doesn't allow this user to run" in text
    assert "is at its maxmemory" in text


async def not_submitted(told: Told, url: str, kind: type[FlowrraError]) -> None:
    """The connection works, but not what is done over it."""
    app = application(url)
    await app.start(workers=False)
    with pytest.raises(kind) as submitting:
        await app.submit("add", 1, 2)
    told.see_error(submitting.value)
    told.see_app(app)
    await app.stop()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:c4nary/4711@localhost:6379/0",
        "redis://:c4nary?4711@localhost:6379/0",
        "redis://:c4nary#4711@localhost:6379/0",
        "redis://:c4nary:4711@localhost:port/0",
        "redis://:c4nary 4711@localhost/0",
        "redis://:c4nary4711@localhost:6379/database",
        "unix://:c4nary4711@/tmp/redis.sock?option=1",
        "unix:///tmp/redis.sock?password=c4nary4711&option=1",
        "rediss://:c4nary4711@localhost?ssl_ca_certs=/no/such/file",
        "other://:c4nary4711@localhost",
    ],
)
def test_a_url_that_is_refused_shows_no_password(told: Told, url: str) -> None:
    makers: list[Callable[[], object]] = [
        lambda: BrokerConfig(url=url),
        lambda: RedisBroker(BrokerConfig(url=url)),
        lambda: RedisBackend(BackendConfig(url=url)),
        lambda: Flowrra(broker=url).engine.connections.broker,
    ]
    refusals = 0
    for make in makers:
        try:
            told.see(make())
        except FlowrraError as error:
            refusals += 1
            told.see_error(error)

    told.check()
    assert refusals > 0


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``command(url, *arguments)``: start ``flowrra`` with this broker."""
    (tmp_path / "tasks.py").write_text(TASKS)
    started: list[subprocess.Popen[str]] = []
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRRA_")}

    settings = {"FLOWRRA_BROKER_SOCKET_TIMEOUT": "1", "COLUMNS": "200"}

    def command(url: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from flowrra.cli.main import main; main()", *arguments],
            cwd=tmp_path, env=environ | settings | {"FLOWRRA_BROKER_URL": url}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield command
    for process in started:
        process.kill()
        process.communicate()


COMMANDS = (("doctor",), ("queues", "-o", "json"), ("submit", "tasks:app", "add", "1", "2"))


def outputs(command: Callable[..., subprocess.Popen[str]], *urls: str) -> str:
    """All that the commands say."""
    running = [command(url, *arguments) for url in urls for arguments in COMMANDS]
    return "".join(process.communicate(timeout=50)[0] for process in running)


def test_no_command_shows_a_password_that_works(
    command: Callable[..., subprocess.Popen[str]], told: Told
) -> None:
    """Nor does a worker that tells all, while its server crashes and comes back."""
    with server_for(SPECIAL, appendonly="yes") as server:
        url = url_of(server.port, SPECIAL, "app")
        worker = command(url, "worker", "tasks:app", "--log-level", "debug")
        assert worker.stdout is not None
        lines = iter(worker.stdout)
        told.texts += read_until(lines, "Ctrl-C ends it")
        told.texts.append(outputs(command, url))
        told.texts.append(command(url, "submit", "tasks:app", "nap", "0.5").communicate(timeout=20)[0])
        told.texts += read_until(lines, "napping")
        server.kill()
        told.texts += read_until(lines, "trying again until it works")
        server.start()
        told.texts += read_until(lines, "works again")
        worker.send_signal(signal.SIGTERM)
        told.texts += lines
        assert worker.wait(20) == 0

    assert "app:***@127.0.0.1" in told.check()


def test_no_command_shows_a_password_that_does_not_work(
    command: Callable[..., subprocess.Popen[str]], told: Told
) -> None:
    """The server refuses it, doesn't know logins, or is away."""
    with server_for(PLAIN + "-another") as server, RedisServer(rename_command="AUTH elsewhere") as simple:
        told.texts.append(
            outputs(
                command,
                url_of(server.port, SPECIAL, "app"),
                url_of(simple.port, SPECIAL, "app"),
                url_of(free_port(), SPECIAL),
            )
        )

    text = told.check()
    assert "refuses the login" in text
    assert "unknown command" in text
    assert "refused the connection" in text


def read_until(lines: Iterator[str], text: str) -> list[str]:
    """Lines up to one with *text*."""
    seen: list[str] = []
    for line in lines:
        seen.append(line)
        if text in line:
            return seen
    raise AssertionError(f"no {text!r} in {seen}")
