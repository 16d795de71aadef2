"""``flowrra worker --processes N`` and ``--reload``: worker processes, and one that looks after them."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowrra.cli.lifeline import Child
from flowrra.cli.output import wants_json
from flowrra.cli.probes import Answer, Probes, answer
from flowrra.cli.signals import Signals, race

if TYPE_CHECKING:
    from flowrra.cli.serving import Serving

logger: logging.Logger = logging.getLogger("flowrra.cli.worker")

#: Seconds that a process has to live for its end to count as the first of a row.
STEADY: Final = 10.0
#: Seconds before a process that didn't live so long is replaced: doubled each time, up to the longest.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
#: Seconds that a process may take beyond its drain before it is killed.
LATE: Final = 15.0
#: Seconds that a process may take to stop at once, or to make way for a newer version of its files.
IMPATIENT: Final = 5.0
#: How a process ends that refuses to start: an error told on purpose, which another start wouldn't mend.
REFUSALS: Final = (1, 2)


class _Seat:
    """The place of one worker process after the other."""

    def __init__(self) -> None:
        self.child: Child | None = None
        #: How many in a row didn't live long.
        self.short_lives: int = 0
        #: The exit code of one that refused to start.
        self.refusal: int | None = None
        #: Set when what is in the seat, or about to be, is to go: at the end, and when files change.
        self.outdated: asyncio.Event = asyncio.Event()


class Supervisor:
    """Starts worker processes, replaces those that die, and ends them all."""

    def __init__(self, options: Serving) -> None:
        self._options = options
        self._command = _command(options)
        self._seats = [_Seat() for _ in range(options.processes)]
        self._signals = Signals()
        self._probes = Probes(self)
        #: Whether any process ever was up: then what the command line and the configuration say is right.
        self._proven = False
        #: The exit code, once there is nothing more to keep up.
        self._verdict: int | None = None

    async def run(self) -> int:
        """Look after the processes until the first signal, and see them off. Returns the exit code.

        Raises:
            ConfigError: The health port can't be had.
        """
        self._signals.obey()
        if self._options.health_port is not None:
            await self._probes.start(self._options.health_host, self._options.health_port)
        watching = asyncio.create_task(self._follow_changes()) if self._options.reload else None
        kept = asyncio.gather(*(self._keep(seat) for seat in self._seats))
        await race(kept, self._signals.first)
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await self._see_off(kept)
        await self._probes.stop()
        return self._verdict or 0

    @property
    def _over(self) -> bool:
        return self._verdict is not None or self._signals.first.is_set()

    def _children(self) -> Iterator[Child]:
        return (seat.child for seat in self._seats if seat.child is not None)

    async def _see_off(self, kept: asyncio.Future[Any]) -> None:
        """Let the processes drain, or stop at once after a second signal; kill what outlives that."""
        if self._signals.first.is_set():
            logger.info("%s: all processes end. Once more to stop at once.", self._signals.newest.name)
        self._dismiss()
        await race(kept, self._signals.second, self._options.drain + LATE)
        if self._signals.second.is_set():
            self._verdict = 128 + self._signals.newest
            self._dismiss()
            await asyncio.wait({kept}, timeout=IMPATIENT)
        for child in self._children():
            logger.error("process %d didn't end in time and is killed", child.pid)
            self._verdict = self._verdict or 1
            child.kill()
        await kept

    def _dismiss(self) -> None:
        for child in self._children():
            child.dismiss()
        for seat in self._seats:
            seat.outdated.set()

    async def _keep(self, seat: _Seat) -> None:
        """Have a process in *seat* until it is over."""
        clock = asyncio.get_running_loop().time
        while not self._over:
            began = clock()
            seat.outdated.clear()
            try:
                child = seat.child = await Child.start(self._command)
            except OSError as error:
                how = f"no process could be started ({error})"
                await self._pause(seat, how, clock() - began)
                continue
            logger.info("process %d started", child.pid)
            if seat.outdated.is_set():
                child.dismiss()
            code = await child.ended()
            seat.child = None
            if self._over:
                self._take_leave(child, code)
            elif not child.is_dismissed:
                await self._replace(seat, child, code, clock() - began)

    def _take_leave(self, child: Child, code: int) -> None:
        """Take note of how a process ended when all had to."""
        if code not in (0, -signal.SIGTERM) and not self._signals.second.is_set():
            logger.warning("process %d %s", child.pid, _ending(code))
            self._verdict = self._verdict or 1

    async def _replace(self, seat: _Seat, child: Child, code: int, lived: float) -> None:
        """Decide when another takes the place of a process that ended by itself."""
        self._proven = self._proven or child.is_up or any(each.is_up for each in self._children())
        seat.refusal = code if code in REFUSALS and not child.is_up else None
        how = f"process {child.pid} {_ending(code)}"
        if self._options.reload and seat.refusal is not None:
            logger.error("%s before it was up; the next change of a Python file starts another", how)
            await seat.outdated.wait()
        elif not self._proven and all(each.refusal is not None for each in self._seats):
            logger.error("%s before it was up, as did all others: none is started again", how)
            self._verdict = code
            self._dismiss()
        else:
            await self._pause(seat, how, lived)

    async def _pause(self, seat: _Seat, how: str, lived: float) -> None:
        """Say what happened, and wait if it happens again and again."""
        seat.short_lives = seat.short_lives + 1 if lived < STEADY else 0
        pause = min(FIRST_PAUSE * 2 ** (seat.short_lives - 1), LONGEST_PAUSE) if seat.short_lives else 0.0
        logger.warning("%s; another takes its place%s", how, f" in {pause:g} s" if pause else "")
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await seat.outdated.wait()

    async def _follow_changes(self) -> None:
        """Replace all processes when Python files change."""
        from flowrra.cli.reload import changes

        folder, call_later = Path.cwd(), asyncio.get_running_loop().call_later
        try:
            async for names in changes(folder):
                logger.info("changed: %s", ", ".join(names))
                for seat in self._seats:
                    seat.outdated.set()
                for child in self._children():
                    if not child.is_dismissed:
                        child.dismiss()
                        call_later(IMPATIENT, child.kill)
        except OSError as error:
            logger.error("--reload can't watch %s any more: %s", folder, error)

    async def live(self) -> Answer:
        """Every process is alive, or about to be: starting, or being replaced."""
        return await self._ask("live", all, vacant="ok")

    async def ready(self) -> Answer:
        """At least one process is ready, and they aren't about to end."""
        return await self._ask("ready", any, vacant="failing")

    async def _ask(self, question: str, enough: Any, vacant: str) -> Answer:
        facts = await asyncio.gather(*(_inquire(seat.child, question, vacant) for seat in self._seats))
        good = enough(each["status"] == "ok" for each in facts)
        return answer(good, {"processes": facts})


async def _inquire(child: Child | None, question: str, vacant: str) -> dict[str, Any]:
    """What one process answers; *vacant* is the status of one that is still to come."""
    if child is None or not child.is_up:
        return {"pid": None if child is None else child.pid, "status": vacant, "up": False}
    _, facts = await child.ask(question)
    return {"pid": child.pid, **facts}


def _command(options: Serving) -> list[str]:
    """The command of each process, but for its line to us."""
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    command = [sys.executable, *flags, "-m", "flowrra", "worker", options.target]
    command += ["--processes", str(options.processes), "--drain", str(options.drain)]
    command += ["--log-level", options.log_level, "--output", "json" if wants_json() else "text"]
    if options.queues is not None:
        command += ["--queues", ",".join(options.queues)]
    if options.concurrency is not None:
        command += ["--concurrency", str(options.concurrency)]
    return command


def _ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
