"""Where a started application runs its tasks: its worker and all that surrounds it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any

from flowrra.call import Call
from flowrra.clock import Clock
from flowrra.connections import Connections
from flowrra.observing import AppObserver
from flowrra.worker.beating import Beating
from flowrra.worker.observer import Middleware, Runner
from flowrra.worker.parts import WorkerParts
from flowrra.worker.renewal import LoopRenewing, Renewing, ThreadRenewing
from flowrra.worker.worker import Worker

if TYPE_CHECKING:
    from flowrra.app import Flowrra


class Workshop:
    """The executors, the worker, its signs of life, and its ear for orders from other processes."""

    def __init__(self, app: Flowrra, connections: Connections, clock: Clock, observer: AppObserver) -> None:
        self._app = app
        self._connections = connections
        self._clock = clock
        self._beating: Beating | None = None
        self._orders: asyncio.Task[None] | None = None
        #: The worker.
        self.worker: Worker = Worker(
            WorkerParts(
                broker=connections.broker,
                settler=connections.settler,
                registry=app.registry,
                executors=app.executors.made,
                broker_config=connections.broker_config,
                executor_config=app.config.executor,
                clock=clock,
                observer=observer,
                renewing=self._renewing(observer),
                run=self._runner(),
                queues=app.queues,
            )
        )

    async def open(self) -> None:
        """Start the executors that the tasks need, then the worker."""
        executors, backend = self._app.executors, self._connections.backend
        for kind in executors.for_tasks(self._app.registry):
            await executors[kind].start()
        self.worker.start()
        if backend.board is not None:
            self._beating = Beating(self.worker, executors.made, backend.board, self._clock)
        if not backend.capabilities.in_process and backend.stream is not None:
            self._orders = asyncio.create_task(self._obey())

    async def close(self, wait: bool, timeout: float) -> None:
        """End the worker, see :meth:`Worker.stop`, then the executors."""
        if self._orders is not None:
            self._orders.cancel()
            await asyncio.gather(self._orders, return_exceptions=True)
        await self.worker.stop(wait, timeout)
        if self._beating is not None:
            await self._beating.end()
        for executor in self._app.executors.made.values():
            await executor.stop(0.0)

    def _renewing(self, observer: AppObserver) -> Renewing:
        lease = self._connections.broker_config.lease
        if self._connections.broker.capabilities.in_process or self._connections.is_broker_given:
            return LoopRenewing(self._connections.broker, lease, self._clock, observer.progressed)
        return ThreadRenewing(self._connections.make_broker, lease, observer.progressed)

    def _runner(self) -> Runner:
        executors = self._app.executors.made

        def run(call: Call) -> Any:
            return executors[call.task.kind].execute(call)

        runner: Runner = run
        for middleware in reversed(self._app.middleware):
            runner = partial(_around, middleware, runner)
        return runner

    async def _obey(self) -> None:
        """Hear of cancellations that were ordered in other processes."""
        stream = self._connections.backend.stream
        if stream is not None:
            async for event in stream.events({"cancel"}):
                if event.task_id is not None:
                    self.worker.interrupt(event.task_id)


def _around(middleware: Middleware, runner: Runner, call: Call) -> Awaitable[object]:
    return middleware(call, runner)
