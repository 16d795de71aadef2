"""The application: where tasks are registered and submitted, and the way to their results."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from flowrra.clock import SystemClock
from flowrra.config import Config, configured
from flowrra.exceptions import PluginError
from flowrra.executors.stopping import stop_here_if_loading
from flowrra.fork import drop_after_fork
from flowrra.home import Home
from flowrra.message import new_id
from flowrra.registration import Registrar
from flowrra.registry import AnyTask, TaskRegistry
from flowrra.result import TaskResult
from flowrra.sync import SyncFlowrra
from flowrra.task import Signature, Task, TaskHandle

if TYPE_CHECKING:
    from flowrra.clock import Clock
    from flowrra.engine import Engine
    from flowrra.executors.table import ExecutorTable
    from flowrra.message import Message
    from flowrra.protocols import Backend, Broker, Scheduler, SchedulerStore
    from flowrra.worker.observer import Middleware

logging.getLogger("flowrra").addHandler(logging.NullHandler())

R = TypeVar("R")


class Flowrra(Registrar):
    """An application: a registry of tasks, a queue, results, and workers once it is started.

    Constructing it does no I/O. It may be used from any number of loops and threads.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        broker: str | Broker | None = None,
        backend: str | Backend | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make an application.

        Args:
            config: Settings; neither environment nor files are read (``Config.load()`` does).
            broker: A URL or a broker, instead of the configured one.
            backend: A URL or a backend, instead of the configured one.
            clock: Where time comes from; for tests.
        """
        #: The registered tasks.
        self.registry: TaskRegistry = TaskRegistry()
        #: Callables ``async (call, next) -> value`` around tasks, outermost first. Fill before ``start``.
        self.middleware: list[Middleware] = []
        #: The queues that this application's worker serves; None: every queue that its tasks name.
        self.queues: tuple[str, ...] | None = None
        self.rewire(config, broker, backend, clock)
        drop_after_fork(self)

    def rewire(
        self,
        config: Config | None = None,
        broker: str | Broker | None = None,
        backend: str | Backend | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Become an unstarted application with the same tasks and these settings. For tests."""
        #: The settings in force.
        self.config: Config = configured(config, broker, backend)
        #: Where time comes from.
        self.clock: Clock = clock or SystemClock()
        self._given: tuple[Broker | None, Backend | None] = (
            None if isinstance(broker, str) else broker,
            None if isinstance(backend, str) else backend,
        )
        # What a parent process connected is kept unused: closing it here would disturb the parent.
        self._inherited: list[object] = []
        self._scheduler: Scheduler | None = None
        self.reset()

    def reset(self) -> None:
        """Become unstarted and unconnected, as a forked child must; nothing is closed."""
        from flowrra.connections import Connections
        from flowrra.engine import Engine

        self._inherited.append(vars(self).get("engine"))
        connections = Connections(self.config, self.clock, *self._given)
        #: Runs the executors' side; by kind, made when first asked for.
        self.executors: ExecutorTable = self._new_executors()
        self.engine: Engine = Engine(self, connections, self.clock)
        self.home: Home = Home(self._adopt, self.engine.detach)
        self._running: bool = False

    def _app(self) -> Flowrra:
        return self

    def _new_executors(self) -> ExecutorTable:
        from flowrra.executors.table import ExecutorTable

        return ExecutorTable(self.config.executor)

    @classmethod
    def from_urls(cls, broker: str | None = None, backend: str | None = None) -> Self:
        """An application with this broker and this backend.

        Without URLs all is in memory. A broker's URL alone keeps results there too, where its
        scheme has a backend; a backend's URL alone keeps the queue in memory.
        """
        return cls(broker=broker, backend=backend)

    async def submit(
        self,
        task: AnyTask | Callable[..., Any] | str,
        /,
        *args: Any,
        priority: int | None = None,
        **kwargs: Any,
    ) -> str:
        """Queue a call of *task* (a task, its function or its name) and return its id.

        ``await task.submit(...)`` is the same with types. Before ``start`` the task waits.

        Raises:
            UnregisteredTaskError: No such task; near matches are named.
            EncodingError, PayloadTooLargeError: The arguments can't be sent.
            QueueFullError: The queue stayed full for ``submit_timeout`` seconds.
            UnsupportedError: The broker can't do what is asked for.
        """
        found = self.find_task(task)
        options = found.defaults if priority is None else replace(found.defaults, priority=priority)
        messages = [self.engine.message(found, args, kwargs, options)]
        at_home = self.home.loop is asyncio.get_running_loop()
        ids = await (self.engine.enqueue(messages) if at_home else self._hand_over(messages))
        return ids[0]

    async def submit_signature(self, signature: Signature[R]) -> TaskHandle[R]:
        """Queue one signature."""
        [task_id] = await self._hand_over([self._message(signature)])
        return TaskHandle(self, task_id)

    async def submit_many(self, signatures: Iterable[Signature[R]]) -> list[TaskHandle[R]]:
        """Queue many calls, made by ``task.signature(...)``, in few round trips; one handle each.

        Raises:
            QueueFullError: Some found no room; its ``accepted`` names those that did.
        """
        messages = [self._message(signature) for signature in signatures]
        return [TaskHandle(self, task_id) for task_id in await self._hand_over(messages)]

    def _message(self, signature: Signature[Any]) -> Message:
        return self.engine.message(signature.task, signature.args, signature.kwargs, signature.options)

    async def _hand_over(self, messages: Sequence[Message]) -> list[str]:
        return await self.home.call(lambda: self.engine.enqueue(messages))

    def find_task(self, task: AnyTask | Callable[..., Any] | str) -> AnyTask:
        """The registered task that is meant by a task, a function or a name.

        Raises:
            UnregisteredTaskError: There is none.
        """
        if isinstance(task, str):
            return self.registry.require(task)
        if isinstance(task, Task):
            known = cast("AnyTask", task)
            return known if known.app is self else self.registry.require_function(known.function)
        return self.registry.require_function(task)

    async def wait_for_result(self, task_id: str, timeout: float | None = None) -> TaskResult:
        """Wait until the task has its final result and return it, whether success or failure.

        Raises:
            TaskTimeoutError: *timeout* seconds went by.
            TaskNotFoundError: Nobody knows the id.
        """
        return await self.home.call(lambda: self.engine.wait_for_result(task_id, timeout))

    async def get_result(self, task_id: str) -> TaskResult | None:
        """What is known of a task now; None for an id that is unknown or has expired."""
        return await self.home.call(lambda: self.engine.get_result(task_id))

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task: a waiting one at once, a running one as its executor can.

        Returns whether it is cancelled now. A final state never changes.
        """
        return await self.home.call(lambda: self.engine.cancel(task_id))

    async def retry(self, task_id: str) -> str:
        """Submit a finished task again and return the new id; ``retry_of`` of the new names the old.

        Raises:
            TaskNotFoundError: Nobody knows the id.
            ValueError: The task has not finished.
        """
        new = new_id()
        return await self.home.call(lambda: self.engine.retry(task_id, new))

    async def pending_count(self) -> int:
        """Tasks that wait, are delayed or will be retried; running ones are not counted."""
        return await self.home.call(self.engine.pending_count)

    @property
    def is_running(self) -> bool:
        """Whether the application is started."""
        return self._running

    @cached_property
    def sync(self) -> SyncFlowrra:
        """The same calls for code without an event loop."""
        return SyncFlowrra(self)

    async def start(self, *, workers: bool = True) -> None:
        """Connect, and run tasks unless *workers* is False. Harmless when started.

        The running loop becomes the application's home: coroutines run there.
        """
        stop_here_if_loading()
        self.home.look()
        if self._running:
            return
        self._running = True
        try:
            await self.home.move_here()
            await self.engine.start(workers)
            if workers and self._scheduler is not None:
                await self._scheduler.start()
        except BaseException:
            await self.stop(wait=False)
            raise
        if not self._running:  # a stop() has overtaken this
            await self._stop(wait=False, timeout=0.0)

    async def stop(self, wait: bool = True, timeout: float = 30.0) -> None:
        """Stop. Running tasks get *timeout* seconds to end if *wait*; what is unfinished is handed back.

        Queued tasks stay with the broker. Harmless when stopped. Where it is cancelled the application
        claims no more, but is not stopped: call it again.
        """
        if self._running:
            self._running = False
            await self.home.call(lambda: self._stop(wait, timeout))

    async def _stop(self, wait: bool, timeout: float) -> None:
        self._running = False
        try:
            if self._scheduler is not None:
                await self._scheduler.stop()
            await self.engine.stop(wait, timeout)
        except asyncio.CancelledError:
            self._running = True  # what it holds is still here, and needs the connections
            raise
        finally:
            if not self._running:
                await self.home.leave()

    async def _adopt(self) -> None:
        self._running = False
        self.executors.forget()
        await self.engine.adopt()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def create_scheduler(self, backend: str | SchedulerStore | None = None) -> Scheduler:
        """The application's scheduler, made at the first call; it starts and stops with the application.

        Args:
            backend: The store of its schedules: a URL, a store, or None for the configured one.

        Raises:
            PluginError: No scheduler is installed.
        """
        if self._scheduler is None:
            self._scheduler = self.engine.plugins.create_scheduler(self, backend)
        if self._scheduler is None:
            raise PluginError("no scheduler is installed. Try: pip install flowrra-scheduler")
        return self._scheduler
