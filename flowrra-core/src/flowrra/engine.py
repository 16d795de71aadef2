"""What an application does on its home loop: open, enqueue, look up, cancel, and run workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from flowrra.clock import Clock
from flowrra.config import BrokerConfig
from flowrra.connections import Connections
from flowrra.exceptions import QueueFullError, TaskNotFoundError, UnsupportedError
from flowrra.message import Acceptance, Delivery, Enqueued, Message
from flowrra.observing import AppObserver
from flowrra.options import Options
from flowrra.plugins import Plugins
from flowrra.protocols import QueueAdmin
from flowrra.registry import AnyTask
from flowrra.reports import Event
from flowrra.result import TaskResult
from flowrra.status import TaskStatus
from flowrra.submission import make_message, repeat
from flowrra.url import redact
from flowrra.worker.observer import Ended
from flowrra.worker.running import cancel
from flowrra.workshop import Workshop

if TYPE_CHECKING:
    from flowrra.app import Flowrra
    from flowrra.worker.worker import Worker

logger: logging.Logger = logging.getLogger("flowrra.app")

#: Seconds, beyond the next renewal, that ``cancel`` waits for a running task to end.
CANCEL_WITHIN: Final = 2.0

#: Seconds that closing connections may take.
CLOSE_WITHIN: Final = 5.0


class Engine:
    """One application's machinery. Every coroutine of it runs on the home loop."""

    def __init__(self, app: Flowrra, connections: Connections, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self.connections: Connections = connections
        self._workshop: Workshop | None = None
        #: Whether plugins were told of a start and not yet of its end.
        self._is_announced = False

    @property
    def worker(self) -> Worker | None:
        """The worker, while the application runs tasks."""
        return self._workshop.worker if self._workshop is not None else None

    @cached_property
    def plugins(self) -> Plugins:
        """The installed plugins, loaded when first needed."""
        plugins = Plugins.installed()
        for task in self._app.registry:
            plugins.task_registered(self._app, task)
        return plugins

    @cached_property
    def _observer(self) -> AppObserver:
        return AppObserver(self._app, self.plugins, self.connections.backend.stream, self._clock)

    def add_plugin(self, plugin: object) -> None:
        """Let *plugin* hear of this application too. Before the start."""
        self.plugins = Plugins([*self.plugins.loaded, plugin])
        # An observer made by an early submit knows fewer plugins.
        vars(self).pop("_observer", None)

    def announce(self, task: AnyTask) -> None:
        """Tell plugins of a new task; those that are not loaded yet will hear of it when they are."""
        if "plugins" in self.__dict__:
            self.plugins.task_registered(self._app, task)

    @property
    def _lease(self) -> float:
        return self.connections.broker_config.lease

    async def connected(self) -> Connections:
        """The connections, open. A step keeps to them: the next ones belong to another loop."""
        connections = self.connections
        if not connections.is_open:
            await connections.open()
        return connections

    def admin(self, what: str) -> QueueAdmin:
        """The broker's optional part that *what* needs.

        Raises:
            UnsupportedError: The broker has none.
        """
        admin = self.connections.broker.admin
        if admin is None:
            raise UnsupportedError(self.connections.broker, what)
        return admin

    def message(
        self, task: AnyTask, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Options
    ) -> Message:
        """The message that submits *task*; see :func:`~flowrra.submission.make_message`. On any loop."""
        return make_message(task, args, kwargs, options, self.connections.broker)

    async def enqueue(self, messages: Sequence[Message]) -> list[str]:
        """Give messages to the broker and return the id under which each is known.

        Raises:
            QueueFullError: Some found no room in time.
        """
        connections, observer = self.connections, self._observer
        if not connections.is_open:
            await connections.open()
        if observer.wants_submitting:
            messages = await observer.submitting(messages)
        answers = await connections.broker.enqueue(messages, connections.broker_config.submit_timeout)
        if observer.wants_submitted:
            pairs = zip(messages, answers, strict=True)
            await observer.submitted([m for m, answer in pairs if answer.acceptance is Acceptance.ACCEPTED])
        ids: list[str] = []
        for acceptance, task_id in answers:
            if acceptance is Acceptance.FULL:
                raise _full(messages, answers, connections.broker_config)
            ids.append(task_id)
        return ids

    async def get_result(self, task_id: str) -> TaskResult | None:
        """What is known of a task: asks the backend, the broker, and the backend once more."""
        return await (await self.connected()).find(task_id)

    async def wait_for_result(self, task_id: str, timeout: float | None) -> TaskResult:
        """Wait for a task's final result.

        Raises:
            TaskNotFoundError: Nobody knows the id.
            TaskTimeoutError: *timeout* seconds went by.
        """
        return await (await self.connected()).wait_for(task_id, timeout)

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task; whether that took effect."""
        connections = await self.connected()
        [cancellation] = await self.admin("cancel tasks").cancel([task_id], self._lease)
        if cancellation.delivery is not None:
            return bool(await self._end(connections, [cancellation.delivery], "cancelled by request"))
        if not cancellation.running:
            return False
        await self._order_cancel(connections, task_id)
        record = await connections.backend.wait(task_id, self._lease / 3 + CANCEL_WITHIN)
        return record is not None and record.status is TaskStatus.CANCELLED

    async def cancel_waiting(self, ids: Sequence[str], reason: str) -> int:
        """Cancel those of the tasks that wait, and return how many did."""
        connections = await self.connected()
        cancellations = await self.admin("cancel tasks").cancel(ids, self._lease)
        waited = [each.delivery for each in cancellations if each.delivery is not None]
        return await self._end(connections, waited, reason)

    async def _end(self, connections: Connections, deliveries: Sequence[Delivery], reason: str) -> int:
        """Settle tasks that were cancelled while they waited, and tell who wants to know."""
        settlements = [cancel(delivery, reason) for delivery in deliveries]
        answers = await connections.settler.settle(settlements)
        if self._observer.wants_ended:
            pairs = zip(settlements, deliveries, answers, strict=True)
            await self._observer.ended([Ended(each, delivery) for each, delivery, ok in pairs if ok])
        return sum(answers)

    async def _order_cancel(self, connections: Connections, task_id: str) -> None:
        """Tell the worker that runs the task, here or elsewhere, without waiting for its next renewal."""
        stream = connections.backend.stream
        here = self.worker is not None and self.worker.interrupt(task_id)
        if not here and stream is not None:
            await stream.publish([Event("cancel", self._clock.time(), task_id)])

    async def retry(self, task_id: str, new_id: str) -> str:
        """Submit a finished task again, under *new_id*: calling once more with the same one is harmless.

        Raises:
            TaskNotFoundError: Nobody knows the id.
            ValueError: The task has not finished.
        """
        connections = await self.connected()
        [record] = await connections.backend.get([task_id])
        if record is None:
            found = await connections.find(task_id)
            if found is None:
                raise TaskNotFoundError(task_id)
            raise ValueError(f"task {task_id} is {found.status.value}; only a finished task can be run again")
        [new] = await self.enqueue([repeat(record)._replace(id=new_id)])
        return new

    async def pending_count(self) -> int:
        """Ready and delayed tasks, retries included."""
        await self.connected()
        counts = await self.admin("count tasks").counts()
        return sum(queue.ready + queue.delayed for queue in counts)

    async def start(self, workers: bool) -> None:
        """Open, tell plugins, and begin to work if *workers*."""
        connections = await self.connected()
        self._is_announced = True
        await self.plugins.startup(self._app)
        if workers and connections is self.connections:
            self._workshop = Workshop(self._app, connections, self._clock, self._observer)
            await self._workshop.open()

    async def stop(self, wait: bool, timeout: float) -> None:
        """Tell plugins, end the worker and its executors. The connections stay, until ``detach``."""
        if self._is_announced:
            self._is_announced = False
            await self.plugins.shutdown(self._app)
        if self._workshop is not None:
            await self._workshop.close(wait, timeout)
            self._workshop = None
            await self._tell_what_is_left()

    def detach(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Go on with fresh connections, and return what closes those used so far, on their loop."""
        left, self.connections = self.connections, self.connections.renewed()
        vars(self).pop("_observer", None)  # it publishes through the connections that are left
        return partial(_close, left)

    async def _tell_what_is_left(self) -> None:
        broker = self.connections.broker
        left = await self.pending_count() if broker.capabilities.in_process and broker.admin else 0
        if left:
            logger.warning(
                "%d tasks are left in memory: a start in this process runs them, its end loses them", left
            )

    async def adopt(self) -> None:
        """Take over on another loop after the home loop was closed without ``stop()``."""
        worker, self._workshop = self.worker, None
        logger.warning("the loop that started the application is closed without app.stop(); nothing runs now")
        await self.detach()()
        if worker is not None:
            try:
                await worker.abandon((await self.connected()).broker)
            except Exception as error:
                what = redact(f"{type(error).__name__}: {error}")
                logger.warning("can't hand back what ran: %s; it runs again when its lease ends", what)


def _full(messages: Sequence[Message], answers: Sequence[Enqueued], broker: BrokerConfig) -> QueueFullError:
    pairs = list(zip(messages, answers, strict=True))
    full = next(m for m, answer in pairs if answer.acceptance is Acceptance.FULL)
    accepted = [answer.id for answer in answers if answer.acceptance is not Acceptance.FULL]
    return QueueFullError(full.queue, broker.max_queue_size, broker.submit_timeout, accepted)


async def _close(connections: Connections) -> None:
    """Let go of connections. Those whose loop is closed are gone in any case."""
    try:
        async with asyncio.timeout(CLOSE_WITHIN):
            await connections.close()
    except Exception as error:
        logger.debug("connections did not close: %s", redact(f"{type(error).__name__}: {error}"))
