"""Between a worker and those who want to know: plugins' hooks and the event stream."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowrra.call import Call
from flowrra.clock import Clock
from flowrra.exceptions import DecodingError
from flowrra.message import Entry, Message, Place, Verdict
from flowrra.plugins import Plugins
from flowrra.protocols import EventStream
from flowrra.reading import result_of_entry, result_of_record
from flowrra.reports import Event
from flowrra.serialization import decode_value
from flowrra.task import TaskResult
from flowrra.url import redact
from flowrra.worker.observer import Ended

if TYPE_CHECKING:
    from flowrra.app import Flowrra

logger: logging.Logger = logging.getLogger("flowrra.app")


class AppObserver:
    """Tells plugins and listeners of batches; does nothing where nobody asks."""

    def __init__(self, app: Flowrra, plugins: Plugins, stream: EventStream | None, clock: Clock) -> None:
        self._app = app
        self._plugins = plugins
        self._stream = stream
        self._clock = clock
        #: Whether a plugin wants to see messages before the broker gets them.
        self.wants_submitting: bool = plugins.on_submitting

    @property
    def _watched(self) -> bool:
        return self._stream is not None and self._stream.watched

    @property
    def wants_started(self) -> bool:
        """Whether a plugin or a listener wants to know of starts."""
        return self._plugins.on_started or self._watched

    @property
    def wants_ended(self) -> bool:
        """Whether a plugin or a listener wants to know of ends."""
        return self._plugins.on_finished or self._plugins.on_retrying or self._watched

    @property
    def wants_submitted(self) -> bool:
        """Whether a plugin or a listener wants to know what was accepted."""
        return self._plugins.on_submitted or (self._stream is not None and self._stream.watched)

    async def submitting(self, messages: Sequence[Message]) -> Sequence[Message]:
        """What goes to the broker instead of *messages*: with the headers that plugins filled."""
        open_for_headers = [message._replace(headers=dict(message.headers)) for message in messages]
        await self._plugins.task_submitting(self._app, open_for_headers)
        return open_for_headers

    async def submitted(self, messages: Sequence[Message]) -> None:
        """The broker accepted *messages*."""
        if not messages:
            return
        if self._plugins.on_submitted:
            await self._plugins.task_submitted(self._app, messages)
        if self._watched:
            at = self._clock.time()
            await self._publish(Event("submitted", at, m.id, m.task, m.queue) for m in messages)

    async def started(self, calls: Sequence[Call]) -> None:
        """These calls are about to begin."""
        if not calls:
            return
        if self._plugins.on_started:
            await self._plugins.task_started(self._app, calls)
        if self._watched:
            at = self._clock.time()
            await self._publish(Event("started", at, c.id, c.name, c.queue) for c in calls)

    async def progressed(self, calls: Sequence[Call]) -> None:
        """These running calls have said how far they are."""
        if self._watched:
            at = self._clock.time()
            await self._publish(_progress(call, at) for call in calls if call.progress_data is not None)

    async def ended(self, batch: Sequence[Ended]) -> None:
        """These deliveries are settled."""
        finished = [result for ended in batch if (result := _finished(ended)) is not None]
        retrying = [result for ended in batch if (result := _retrying(ended)) is not None]
        if finished and self._plugins.on_finished:
            await self._plugins.task_finished(self._app, finished)
        if retrying and self._plugins.on_retrying:
            await self._plugins.task_retrying(self._app, retrying)
        if self._watched:
            await self._publish(self._event(result) for result in (*finished, *retrying))

    def _event(self, result: TaskResult) -> Event:
        status = result.status.value
        return Event(status, self._clock.time(), result.task_id, result.task_name, result.queue)

    async def _publish(self, events: Iterable[Event]) -> None:
        if self._stream is None:
            return
        try:
            await self._stream.publish(list(events))
        except Exception as error:
            logger.warning("events are lost: %s", redact(f"{type(error).__name__}: {error}"))


def _progress(call: Call, at: float) -> Event:
    data = decode_value(call.progress_data or b"null")
    return Event("progress", at, call.id, call.name, call.queue, data)


def _finished(ended: Ended) -> TaskResult | None:
    record = ended.settlement.record
    try:
        return None if record is None else result_of_record(record)
    except DecodingError as error:
        logger.warning("the result of task %s can't be read: %s", ended.settlement.receipt.id, error)
        return None


def _retrying(ended: Ended) -> TaskResult | None:
    settlement, delivery = ended
    if settlement.verdict is not Verdict.RETRY or delivery is None:
        return None
    due = delivery.claimed_at + settlement.delay
    return result_of_entry(
        Entry(
            delivery.message, Place.DELAYED, delivery.receipt.fence, delivery.submitted_at, due=due,
            state=settlement.state,
        )
    )  # fmt: skip
