"""One delivery from claim to settlement, and what its end means."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from flowrra.call import Call
from flowrra.config import ExecutorConfig
from flowrra.exceptions import ExecutorCrashedError
from flowrra.message import Delivery, Record, Settlement, Verdict
from flowrra.registry import AnyTask
from flowrra.retry import RetryPolicy
from flowrra.state import TaskState, decode_state, utc
from flowrra.status import TaskStatus
from flowrra.task import Attempt
from flowrra.worker.failure import Failure, describe, timed_out

#: Seconds after which a task that no worker knows is given up.
UNKNOWN_FOR: Final = 7 * 24 * 3600.0
#: From its third delivery on a task is suspected of killing its workers.
SUSPICIOUS: Final = 3
#: Seconds for which a suspect stands aside while another runs.
ASIDE: Final = 1.0
#: The longest pause, in seconds, before a task is offered again to workers that may know it.
PARK_LONGEST: Final = 60.0


class Stop(Enum):
    """Why a running task was stopped from outside."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class Running:
    """A claimed task that runs here."""

    __slots__ = (
        "call",
        "config",
        "deadline",
        "delivery",
        "future",
        "started",
        "state",
        "stop",
        "task",
        "worker",
    )

    def __init__(
        self,
        delivery: Delivery,
        task: AnyTask,
        config: ExecutorConfig,
        worker: str,
        started: float,
        on_progress: Callable[[Call], object],
    ) -> None:
        message = delivery.message
        self.delivery: Delivery = delivery
        self.task: AnyTask = task
        self.config: ExecutorConfig = config
        self.worker: str = worker
        #: Monotonic seconds.
        self.started: float = started
        self.state: TaskState | None = decode_state(delivery.state) if delivery.state else None
        self.stop: Stop | None = None
        #: Its number among the worker's deadlines, if it has a time limit.
        self.deadline: int | None = None
        self.future: asyncio.Task[None] | None = None
        self.call: Call = Call(
            task,
            message.id,
            message.body,
            attempt=1 + (self.state.retries if self.state else 0),
            queue=message.queue,
            priority=message.priority,
            headers=message.headers,
            timeout=message.timeout,
            deadline=None if message.timeout is None else delivery.claimed_at + message.timeout,
            on_progress=on_progress,
        )

    @property
    def has_ended(self) -> bool:
        """Whether its end is decided, and being settled unless the lease was lost."""
        return self.stop is Stop.LOST or (self.future is not None and self.future.done())

    def interrupt(self, why: Stop) -> None:
        """Stop the call, once; the first reason counts."""
        if self.stop is None and self.future is not None:
            self.stop = why
            self.call.cancelled = True
            # Not before its first step: a coroutine that never began would never end either.
            self.future.get_loop().call_soon(self.future.cancel)

    def succeeded(self, value: bytes, finished: float) -> Settlement | None:
        """What to settle after the function returned; None if nobody wants the outcome any more."""
        if self.stop is not None and self.stop is not Stop.SHUTDOWN:
            return self.failed(asyncio.CancelledError(), finished)
        return self._done(TaskStatus.SUCCESS, finished, value)

    def failed(self, error: BaseException, finished: float) -> Settlement | None:
        """What to settle after the function raised, or was stopped."""
        if self.stop is Stop.LOST:
            return None
        if self.stop is Stop.SHUTDOWN or (isinstance(error, asyncio.CancelledError) and self._torn_down()):
            return self.release()
        if self.stop is Stop.CANCEL:
            return self._done(TaskStatus.CANCELLED, finished, error="cancelled by request")
        failure = timed_out(self.call.timeout) if self.stop is Stop.TIMEOUT else describe(error)
        delay = failure.retry_delay(self._policy(), self._retries, random.random)
        if delay is None:
            return self._done(TaskStatus.FAILED, finished, None, failure.error, failure.traceback)
        state = self._past().after(self._attempt(failure, finished))
        return Settlement(self.delivery.receipt, Verdict.RETRY, delay=delay, state=state.encode())

    def crashed(self, error: ExecutorCrashedError, max_deliveries: int) -> Settlement:
        """What to settle after the process that ran the task died: again, or dead."""
        if self.delivery.deliveries >= max_deliveries:
            return bury(self.delivery, f"{error}; that was delivery {self.delivery.deliveries}", self.worker)
        return Settlement(self.delivery.receipt, Verdict.RELEASE, state=self.delivery.state, counted=True)

    def release(self) -> Settlement:
        """Hand the task back, uncounted, into its old place."""
        return Settlement(self.delivery.receipt, Verdict.RELEASE, state=self.delivery.state)

    def _policy(self) -> RetryPolicy:
        retry = self.task.retry.overridden(self.delivery.message)
        return retry.policy(self.config.max_retries, self.config.retry_delay)

    @property
    def _retries(self) -> int:
        return self.state.retries if self.state else 0

    def _past(self) -> TaskState:
        return self.state or TaskState()

    def _torn_down(self) -> bool:
        """Whether the loop itself is being shut down: somebody cancelled this task, and it was not us."""
        return self.stop is None and self.future is not None and self.future.cancelling() > 0

    def _done(
        self,
        status: TaskStatus,
        finished: float,
        value: bytes | None = None,
        error: str | None = None,
        traceback: str | None = None,
    ) -> Settlement:
        delivery, call = self.delivery, self.call
        started_at = delivery.claimed_at
        record = Record(
            delivery.message, status, delivery.receipt.fence, delivery.submitted_at,
            started_at + (finished - self.started), started_at, value, error, traceback, self.worker,
            self._retries, delivery.state, call.log_text() if call.lines else None, call.progress_data,
        )  # fmt: skip
        return Settlement(delivery.receipt, Verdict.DONE, record)

    def _attempt(self, failure: Failure, finished: float) -> Attempt:
        started_at = self.delivery.claimed_at
        return Attempt(
            number=self.call.attempt,
            started_at=utc(started_at),
            finished_at=utc(started_at + (finished - self.started)),
            worker=self.worker,
            error=failure.error,
            traceback=failure.traceback,
            log=self.call.log_text(),
        )


def bury(delivery: Delivery, reason: str, worker: str) -> Settlement:
    """Give a task up: it is FAILED with *reason*, and kept among the dead."""
    record = _unstarted(delivery, TaskStatus.FAILED, reason, worker)
    return Settlement(
        delivery.receipt,
        Verdict.DEAD,
        record._replace(dead_reason=reason),
        state=delivery.state,
        reason=reason,
    )


def expire(delivery: Delivery, worker: str) -> Settlement:
    """Drop a task that was not started in time."""
    reason = f"expired: not started within {delivery.message.expires:g} s"
    return Settlement(
        delivery.receipt, Verdict.DONE, _unstarted(delivery, TaskStatus.CANCELLED, reason, worker)
    )


def cancel(delivery: Delivery, reason: str) -> Settlement:
    """End a task that was cancelled while it waited."""
    record = _unstarted(delivery, TaskStatus.CANCELLED, reason, None)
    return Settlement(delivery.receipt, Verdict.DONE, record)


def park(delivery: Delivery, why: str, worker: str) -> Settlement:
    """Put back, with back-off, what this worker can't run; after seven days it is dead."""
    state = decode_state(delivery.state).parked_at(delivery.claimed_at)
    if delivery.claimed_at - (state.parked_since or 0.0) > UNKNOWN_FOR:
        return bury(delivery, f"{why}, and no other worker ran it for 7 days", worker)
    delay = min(PARK_LONGEST, 2.0 ** min(state.parked - 1, 10))
    return Settlement(delivery.receipt, Verdict.RELEASE, delay=delay, state=state.encode())


def stand_aside(delivery: Delivery) -> Settlement:
    """Put back for a moment, uncounted, what must not run beside another."""
    return Settlement(delivery.receipt, Verdict.RELEASE, delay=ASIDE, state=delivery.state)


def _unstarted(delivery: Delivery, status: TaskStatus, reason: str, worker: str | None) -> Record:
    kept: dict[str, Any] = {"state": delivery.state, "worker": worker, "error": reason}
    return Record(
        delivery.message, status, delivery.receipt.fence, delivery.submitted_at, delivery.claimed_at,
        retries=decode_state(delivery.state).retries, **kept,
    )  # fmt: skip
