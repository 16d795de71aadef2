"""What becomes of a claimed delivery: a call to run, or an end before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flowrra.exceptions import DecodingError
from flowrra.message import FORMAT, Delivery, Settlement
from flowrra.state import decode_state
from flowrra.worker.running import SUSPICIOUS, Running, bury, expire, park, stand_aside

if TYPE_CHECKING:
    from flowrra.call import Call
    from flowrra.config import ExecutorConfig
    from flowrra.protocols import Executor
    from flowrra.registry import AnyTask, TaskRegistry


class Intake:
    """Decides on deliveries, for one worker."""

    def __init__(
        self,
        registry: TaskRegistry,
        executors: Mapping[str, Executor],
        config: ExecutorConfig,
        max_deliveries: int,
        worker: str,
        on_progress: Callable[[Call], object],
    ) -> None:
        self._registry = registry
        self._executors = executors
        self._config = config
        self._max_deliveries = max_deliveries
        self._worker = worker
        self._on_progress = on_progress
        #: From which delivery on a task is suspected of killing its workers: it has seen two of them die, and
        #: fewer only where few are allowed.
        self._suspicious = max(2, min(SUSPICIOUS, max_deliveries))
        self._suspect: Running | None = None

    def take(self, delivery: Delivery, started: float) -> Running | Settlement:
        """A task to run, from *started* (monotonic) on, or the settlement of one that is not to be run."""
        message = delivery.message
        if delivery.deliveries > self._max_deliveries:
            died = f"its worker died {delivery.deliveries - 1} times while it ran (max_deliveries)"
            return bury(delivery, died, self._worker)
        task = self._registry.get(message.task)
        if task is None or message.version > FORMAT or task.kind not in self._executors:
            return park(delivery, _why_parked(message.task, task, message.version), self._worker)
        if delivery.expires_at is not None and _expired(delivery):
            return expire(delivery, self._worker)
        try:
            running = Running(delivery, task, self._config, self._worker, started, self._on_progress)
        except DecodingError as error:
            return bury(delivery, f"its state can't be read: {error}", self._worker)
        return running if delivery.deliveries < self._suspicious else self._isolated(running)

    def _isolated(self, running: Running) -> Running | Settlement:
        """Let one suspect run at a time: the one that kills its worker must not take the others along, until
        they too have died too often. They stand aside, uncounted."""
        if self._suspect is not None and not self._suspect.has_ended:
            return stand_aside(running.delivery)
        self._suspect = running
        return running


def _expired(delivery: Delivery) -> bool:
    """Whether a task that nobody has started yet came too late."""
    late = delivery.expires_at is not None and delivery.expires_at <= delivery.claimed_at
    return late and delivery.deliveries == 1 and not decode_state(delivery.state).retries


def _why_parked(name: str, task: AnyTask | None, version: int) -> str:
    if version > FORMAT:
        return f"its message has format {version}; this worker reads up to {FORMAT}"
    if task is None:
        return f"this worker knows no task named {name!r}"
    return f"this worker has no executor of kind {task.kind!r}"
