"""The life of a worker process: start, run, drain, and stop at the second signal."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import click

from flowrra.app import Flowrra
from flowrra.cli.health import Health, Phase
from flowrra.cli.lifeline import Lifeline
from flowrra.cli.logs import configure
from flowrra.cli.output import wants_json
from flowrra.cli.probes import Probes
from flowrra.cli.runlog import log_runs
from flowrra.cli.session import broker_name, require_shared_queue
from flowrra.cli.signals import Signals, race
from flowrra.cli.target import load_app
from flowrra.config import Config
from flowrra.exceptions import ConfigError, PermanentError, TransientError
from flowrra.executors.table import ExecutorTable
from flowrra.message import Settlement
from flowrra.options import check_name
from flowrra.url import redact
from flowrra.worker.backoff import Backoff

logger: logging.Logger = logging.getLogger("flowrra.cli.worker")

#: Seconds that handing back may take after the second signal.
HAND_BACK_WITHIN: Final = 2.0
#: Seconds, beyond its drain, after which a worker ends whatever its broker still owes it.
LATE: Final = 8.0
#: Seconds that a worker may drain before a newer version of its files takes over.
RELOAD_WITHIN: Final = 1.0
#: The exit code of a worker that could not end properly.
FAILED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the command line of a worker says."""

    target: str
    queues: Sequence[str] | None
    concurrency: int | None
    processes: int
    reload: bool
    health_port: int | None
    health_host: str
    drain: float
    log_level: str
    #: The descriptor of the line to the supervisor of this process, if it has one.
    supervised: int | None


def serve(options: Serving) -> int:
    """Run a worker, or several under a supervisor, to their end and return the exit code."""
    configure(options.log_level, as_json=wants_json())
    if options.reload:
        from flowrra.cli.reload import require_watchfiles

        require_watchfiles()
        return _supervise(replace(options, drain=min(options.drain, RELOAD_WITHIN)))
    app = load_app(options.target)
    _apply(options, app)
    if options.processes > 1:
        require_shared_queue(app, f"--processes {options.processes}")
        if options.supervised is None:
            return _supervise(options)
    return asyncio.run(_Session(app, options).run())


def _supervise(options: Serving) -> int:
    from flowrra.cli.processes import Supervisor

    return asyncio.run(Supervisor(options).run())


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
        self._probes = Probes(self._health)
        self._signals = Signals()
        self._lifeline = Lifeline(self._health, self._signals)

    async def run(self) -> int:
        """Work until the first signal, then drain."""
        self._signals.obey()
        try:
            await self._listen()
            if not await self._start():
                logger.info("%s: stopped before it had started", self._signals.newest.name)
                return 0
            self._welcome()
            await self._signals.first.wait()
            return await self._drain()
        finally:
            await self._probes.stop()
            await self._lifeline.let_go()
            await self._app.stop(wait=False)

    async def _listen(self) -> None:
        if self._options.supervised is not None:
            await self._lifeline.hold(self._options.supervised)
        elif self._options.health_port is not None:
            await self._probes.start(self._options.health_host, self._options.health_port)

    async def _start(self) -> bool:
        """Start, however long that takes; False if a signal came first."""
        starting = asyncio.create_task(self._keep_starting())
        await race(starting, self._signals.first)
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting}, timeout=LATE)
            return False
        try:
            await starting
        except PermanentError as error:
            raise click.ClickException(redact(str(error))) from None
        self._health.phase = Phase.WORKING
        self._lifeline.say_up()
        return True

    async def _keep_starting(self) -> None:
        """Start; while the broker or the backend can't be reached, try again."""
        backoff = Backoff(self._app.clock)
        while True:
            try:
                await self._app.start()
            except TransientError as error:
                await backoff.after(error, "the worker can't start")
            else:
                backoff.reset()
                return

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
        self._health.phase = Phase.DRAINING
        logger.info(
            "%s: no more tasks are claimed; %d running get %g s to end. Once more to stop at once.",
            self._signals.newest.name, running, self._options.drain,
        )  # fmt: skip
        draining = asyncio.create_task(self._app.stop(wait=True, timeout=self._options.drain))
        await race(draining, self._signals.second, self._options.drain + LATE)
        if draining.done():
            await draining
            logger.info("stopped")
            return 0
        return await self._give_up(draining)

    async def _give_up(self, draining: asyncio.Task[None]) -> int:
        """Hand back what runs and end the process, whatever threads still do and whoever doesn't answer."""
        worker = self._app.engine.worker
        draining.cancel()
        await asyncio.wait({draining}, timeout=HAND_BACK_WITHIN)
        if worker is not None:
            await self._hand_back(worker.unfinished())
        for executor in self._app.executors.made.values():
            with suppress(Exception):
                async with asyncio.timeout(HAND_BACK_WITHIN):
                    await executor.stop(0.0)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(128 + self._signals.newest if self._signals.second.is_set() else FAILED)

    async def _hand_back(self, left: Sequence[Settlement]) -> None:
        try:
            async with asyncio.timeout(HAND_BACK_WITHIN):
                answers = await self._app.engine.connections.broker.settle(left)
        except Exception:
            logger.warning(
                "stopped; the broker doesn't answer: %d tasks run again when their leases end",
                len(left),
            )
        else:
            logger.warning("stopped at once; handed back: %d", sum(answers))
