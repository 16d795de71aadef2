"""The application that a command works on, as a producer: it submits and asks, and runs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click

from flowrra.app import Flowrra
from flowrra.cli.target import load_app
from flowrra.config import Config
from flowrra.management import FlowrraManager

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

#: What to write instead of memory://.
SHARED = "sqlite:///flowrra.db or redis://localhost:6379/0"


class InProcessError(click.ClickException):
    """Something was asked of queues that only another process's memory holds."""

    exit_code = 2

    def __init__(self, what: str, where: str) -> None:
        super().__init__(
            f"{what}: {where} lives in the memory of the process that made it, and this is another one. "
            f"Use a broker that processes share, such as {SHARED}: "
            "--broker, FLOWRRA_BROKER_URL, [tool.flowrra.broker], or in code Flowrra(broker=...)"
        )


def connection_options(command: F) -> F:
    """Give a command ``--app``, ``--broker`` and ``--backend``."""
    for option in (
        click.option("--backend", metavar="URL", help="Where results are kept.  [default: as configured]"),
        click.option("--broker", metavar="URL", help="Where tasks wait.  [default: as configured]"),
        click.option("--app", "target", metavar="MODULE:APP", help="Use this application's settings."),
    ):
        command = option(command)
    return command


def chosen_app(target: str | None, broker: str | None, backend: str | None) -> Flowrra:
    """The application named, or one made from the options, the environment and ``[tool.flowrra]``.

    Raises:
        ConfigError: A setting is wrong.
        click.UsageError: Both an application and URLs are given.
    """
    if target is None:
        return Flowrra(Config.load(broker=broker, backend=backend))
    if broker is not None or backend is not None:
        raise click.UsageError("--app brings its own broker and backend; leave out --broker and --backend")
    return load_app(target)


def broker_name(app: Flowrra) -> str:
    """What to call an application's broker in a message."""
    return app.engine.connections.broker_config.url.partition("://")[0] + "://"


def require_shared_queue(app: Flowrra, what: str) -> None:
    """Refuse to do *what* with queues in this process's memory."""
    if app.engine.connections.broker.capabilities.in_process:
        raise InProcessError(what, f"a queue on {broker_name(app)}")


def require_shared_runs(app: Flowrra, what: str) -> None:
    """Refuse to do *what* where both queues and results are in this process's memory."""
    if app.engine.connections.backend.capabilities.in_process:
        require_shared_queue(app, what)


def ask(app: Flowrra, question: Callable[[FlowrraManager], Awaitable[T]]) -> T:
    """Connect, ask, and let go."""

    async def asked() -> T:
        await app.start(workers=False)
        try:
            return await question(FlowrraManager(app))
        finally:
            await app.stop()

    return asyncio.run(asked())
