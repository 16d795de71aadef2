"""The life of a worker process: start, run, drain, and stop at the second signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import click

from flowrra.app import Flowrra
from flowrra.cli.health import Health
from flowrra.cli.logs import configure
from flowrra.cli.output import wants_json
from flowrra.cli.runlog import log_runs
from flowrra.cli.session import broker_name, require_shared_queue
from flowrra.cli.target import load_app
from flowrra.config import Config
from flowrra.exceptions import ConfigError
from flowrra.executors.table import ExecutorTable
from flowrra.options import check_name
from flowrra.url import redact

logger: logging.Logger = logging.getLogger("flowrra.cli.worker")

#: Seconds that handing back may take after the second signal.
HAND_BACK_WITHIN: Final = 2.0

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the command line of a worker says."""

    target: str
    queues: Sequence[str] | None
    concurrency: int | None
    processes: int
    health_port: int | None
    health_host: str
    drain: float
    log_level: str


def serve(options: Serving) -> int:
    """Run a worker to its end and return the exit code."""
    configure(options.log_level, as_json=wants_json())
    app = load_app(options.target)
    _apply(options, app)
    if options.processes > 1:
        require_shared_queue(app, f"--processes {options.processes}")
        from flowrra.cli.processes import supervise

        return supervise(options.processes)
    return asyncio.run(_Session(app, options).run())


def _apply(options: Serving, app: Flowrra) -> None:
    """Put the command line over the application's own settings."""
    if options.queues is not None:
        for queue in options.queues:
            _check(queue)
        app.queues = tuple(options.queues)
    if options.concurrency is not None:
        executor = replace(app.config.executor, num_workers=options.concurrency)
        app.config = replace(app.config, executor=executor)
        app.executors = ExecutorTable(executor)
    log_runs(app)
    if app.engine.connections.broker.capabilities.in_process:
        _mention_unused_broker()


def _check(queue: str) -> None:
    try:
        check_name("--queues", queue)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _mention_unused_broker() -> None:
    """Say so where the environment names a broker that an application in memory doesn't ask for."""
    try:
        broker = Config.load().broker
    except ConfigError as error:
        logger.warning("%s", error)
        return
    if broker is not None and not broker.url.startswith("memory:"):
        logger.warning(
            "the configured broker %s is not used: the application was made without it; "
            "write app = Flowrra(Config.load())",
            redact(broker.url),
        )


class _Session:
    """One application at work."""

    def __init__(self, app: Flowrra, options: Serving) -> None:
        self._app = app
        self._options = options
        self._health = Health(app)
        self._signalled: list[signal.Signals] = []
        self._first = asyncio.Event()
        self._second = asyncio.Event()

    async def run(self) -> int:
        """Work until the first signal, then drain."""
        self._obey()
        try:
            await self._listen()
            await self._app.start()
            self._welcome()
            await self._first.wait()
            return await self._drain()
        finally:
            await self._health.stop()
            await self._app.stop(wait=False)

    def _obey(self) -> None:
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            try:
                loop.add_signal_handler(each, self._hear, each)
            except NotImplementedError:  # Windows
                signal.signal(each, lambda number, _: loop.call_soon_threadsafe(self._hear, number))

    def _hear(self, heard: int) -> None:
        self._signalled.append(signal.Signals(heard))
        (self._second if self._first.is_set() else self._first).set()

    async def _listen(self) -> None:
        if self._options.health_port is not None:
            host = self._options.health_host
            port = await self._health.start(host, self._options.health_port)
            logger.info("health: http://%s:%d/live and /ready", host, port)

    def _welcome(self) -> None:
        worker, app = self._app.engine.worker, self._app
        if worker is None:
            return
        slots = ", ".join(f"{executor.slots} {kind}" for kind, executor in app.executors.made.items())
        logger.info(
            "worker %s on %s: %d tasks (%s), queues %s, slots: %s. Ctrl-C ends it.",
            worker.name, broker_name(app), len(app.registry), ", ".join(app.registry.names()) or "none",
            ", ".join(worker.queues), slots,
        )  # fmt: skip

    async def _drain(self) -> int:
        worker = self._app.engine.worker
        running = len(worker.running) if worker else 0
        self._health.draining = True
        logger.info(
            "%s: no more tasks are claimed; %d running get %g s to end. Once more to stop at once.",
            self._signalled[0].name, running, self._options.drain,
        )  # fmt: skip
        draining = asyncio.create_task(self._app.stop(wait=True, timeout=self._options.drain))
        second = asyncio.create_task(self._second.wait())
        await asyncio.wait({draining, second}, return_when=asyncio.FIRST_COMPLETED)
        if draining.done():
            second.cancel()
            await draining
            logger.info("stopped")
            return 0
        return await self._give_up(draining)

    async def _give_up(self, draining: asyncio.Task[None]) -> int:
        """Hand back what runs and end the process, whatever threads still do."""
        engine = self._app.engine
        worker = engine.worker
        draining.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await draining
        if worker is not None:
            left = worker.unfinished()
            with suppress(Exception):
                async with asyncio.timeout(HAND_BACK_WITHIN):
                    await engine.connections.broker.settle(left)
            logger.warning("stopped at once; handed back: %d", len(left))
        for executor in self._app.executors.made.values():
            with suppress(Exception):
                async with asyncio.timeout(HAND_BACK_WITHIN):
                    await executor.stop(0.0)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(128 + self._signalled[-1].value)
