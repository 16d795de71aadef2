"""The executor of plain functions: threads of this process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from flowrra.call import Call, enter_call
from flowrra.config import ExecutorConfig
from flowrra.exceptions import ExecutorCrashedError
from flowrra.executors.plain import call_plain, check_plain
from flowrra.executors.turns import Slotted, Turns
from flowrra.protocols import ExecutorFactory

logger: logging.Logger = logging.getLogger(__name__)


class ThreadExecutor(Slotted):
    """Calls plain functions in daemon threads, up to ``num_workers`` at once.

    A thread can't be killed: a call whose await is cancelled sees ``call.cancelled`` and keeps its
    slot until its function returns. Functions see the context variables of whoever awaits ``execute``.
    """

    def __init__(self, config: ExecutorConfig) -> None:
        super().__init__(config.num_workers)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running: set[_Job] = set()

    def __del__(self) -> None:
        """End the idle threads of an executor that nobody stopped."""
        self._dismiss()

    def check(self, function: Callable[..., Any]) -> None:
        """Raise TypeError if *function* is a coroutine function."""
        check_plain(function, "executor 'thread'", "leave the executor out and it runs on the loop")

    async def start(self) -> None:
        """Nothing to get ready: threads are started as calls come."""

    async def stop(self, grace: float) -> None:
        """Wait up to *grace* seconds for what runs, then end the threads; a stuck one ends with its function.

        What neither ran nor ended by then fails with ``ExecutorCrashedError``.
        """
        ended = await self._turns.drained(grace)
        self._turns.refuse()
        for job in list(self._running):
            job.give_up(ExecutorCrashedError(f"the executor was stopped while {job.what} ran"))
        threads = self._dismiss()
        self._jobs, self._turns = SimpleQueue(), Turns(self.slots)
        if ended:
            for thread in threads:
                thread.join()

    def _dismiss(self) -> list[threading.Thread]:
        """Let each thread end once it has nothing more to do."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        return threads

    async def execute(self, call: Call) -> object:
        """Call the task's function in a thread."""
        turns = self._turns
        await turns.take()
        enter_call(call)
        job = _Job(call, turns)
        if len(self._threads) < turns.taken:
            self._start_thread()
        self._jobs.put(job)
        self._running.add(job)
        try:
            await job.answer
        except asyncio.CancelledError:
            job.give_up()
            raise
        finally:
            self._running.discard(job)
        return job.outcome()

    def _start_thread(self) -> None:
        name = f"flowrra-thread-{len(self._threads) + 1}"
        thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


class _Job:
    """One call on its way through a thread."""

    __slots__ = (
        "_abandoned", "_context", "_error", "_loop", "_returned", "_started", "_turns", "_value", "answer",
        "call",
    )  # fmt: skip

    def __init__(self, call: Call, turns: Turns) -> None:
        self.call = call
        self._turns = turns
        self._context: Context = copy_context()
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[None] = self._loop.create_future()
        self._value: object = None
        self._error: BaseException | None = None
        self._started = self._returned = self._abandoned = False

    @property
    def what(self) -> str:
        """The task in words."""
        return f"task {self.call.name!r} ({self.call.id})"

    def run(self) -> None:
        """Call the function, unless it was given up before; runs in the thread."""
        self._started = True
        try:
            if not self.call.cancelled:
                self._value = self._context.run(call_plain, self.call)
        except BaseException as error:
            self._error = error
        self._returned = True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        self._turns.leave()
        if not self.answer.done():
            self.answer.set_result(None)
        if self._abandoned:
            logger.info("the thread of %s ended; its slot is free again", self.what, extra=self._ids())

    def outcome(self) -> object:
        """The function's value; raises what it raised."""
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            self._error = None  # the traceback holds this frame: break the cycle

    def give_up(self, error: Exception | None = None) -> None:
        """Ask the function to stop and wait for it no longer."""
        self.call.cancelled = True
        if self._started and not self._returned and not self._abandoned:
            self._abandoned = True
            text = "%s was given up but its thread runs on; its slot stays taken until the function returns"
            logger.warning(text, self.what, extra=self._ids())
        if error is not None and not self.answer.done():
            self.answer.set_exception(error)

    def _ids(self) -> dict[str, str]:
        return {"task_id": self.call.id, "task": self.call.name}


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    """Run jobs until told to end."""
    while (job := jobs.get()) is not None:
        job.run()
        del job


executor: ExecutorFactory = ThreadExecutor
