"""The executor of CPU-bound functions: worker processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowrra.call import Call
from flowrra.config import ExecutorConfig
from flowrra.exceptions import ExecutorCrashedError
from flowrra.executors.plain import check_plain
from flowrra.executors.remote import NotStartedError
from flowrra.executors.stopping import stop_here_if_loading
from flowrra.executors.turns import Slotted
from flowrra.protocols import ExecutorFactory

if TYPE_CHECKING:
    from flowrra.executors.process import WorkerProcess


class CPUExecutor(Slotted):
    """Calls plain functions in worker processes, ``cpu_workers`` at once, by default one per CPU.

    Processes are started as calls come and are kept. They are fresh interpreters that find functions
    by import path. Cancelling a call's await kills its process and disturbs no other. Ctrl-C and
    SIGTERM are left to this process; the children end with it, however it ends.
    """

    def __init__(self, config: ExecutorConfig) -> None:
        super().__init__(config.cpu_workers or os.cpu_count() or 1)
        self._processes: set[WorkerProcess] = set()
        self._idle: list[WorkerProcess] = []
        self._started = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The worker processes that there are now."""
        return tuple(process.pid for process in self._processes if process.is_usable())

    def check(self, function: Callable[..., Any]) -> None:
        """Raise TypeError if *function* is a coroutine function, or if another process couldn't find it."""
        check_plain(function, "cpu_bound=True", "leave cpu_bound out, or make it a plain function")
        if function.__name__ == "<lambda>" or "<locals>" in function.__qualname__:
            raise TypeError(
                f"cpu_bound=True needs a function that another process finds by its import path: "
                f"{function.__qualname__!r} is local; move it to module level with a def of its own"
            )

    async def start(self) -> None:
        """Get ready: processes are started as calls come.

        Raises:
            OSError: This is no POSIX system.
        """
        stop_here_if_loading()
        if os.name != "posix":
            raise OSError("cpu_bound tasks need Linux, macOS or another POSIX system")
        self._started = True

    async def stop(self, grace: float) -> None:
        """Wait up to *grace* seconds for what runs, then kill it; returns when no process is left.

        What was killed or waited for its turn fails with ``ExecutorCrashedError``.
        """
        await self._turns.drained(grace)
        self._started = False
        self._turns.refuse()
        for process in self._processes.difference(self._idle):
            process.fail(f"the executor was stopped and killed worker process {process.pid} while it ran")
            process.kill()
        await asyncio.gather(*(process.closed() for process in list(self._processes)))

    async def execute(self, call: Call) -> object:
        """Call the task's function in a worker process and return its encoded value.

        Raises:
            RemoteError: What the task raised, as text.
            ExecutorCrashedError: The process died; only this call is affected.
        """
        await self._turns.take()
        try:
            while True:
                process = self._take_process()
                try:
                    return await process.run(call)
                except NotStartedError:
                    continue
                finally:
                    self._return_process(process)
        finally:
            self._turns.leave()

    def _take_process(self) -> WorkerProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_usable():
                return process
        return self._start_process()

    def _return_process(self, process: WorkerProcess) -> None:
        """Keep a process for the next call, or replace it at once."""
        if process.is_usable():
            self._idle.append(process)
        elif self._started:
            with suppress(ExecutorCrashedError):
                self._idle.append(self._start_process())

    def _start_process(self) -> WorkerProcess:
        from flowrra.executors.process import WorkerProcess

        process = WorkerProcess(self._forget)
        self._processes.add(process)
        return process

    def _forget(self, process: WorkerProcess) -> None:
        self._processes.discard(process)
        if process in self._idle:
            self._idle.remove(process)


executor: ExecutorFactory = CPUExecutor
