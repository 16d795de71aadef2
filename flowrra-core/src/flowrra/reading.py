"""What users see of a task, made from what brokers and backends keep of it."""

from __future__ import annotations

from typing import Any

from flowrra.exceptions import DecodingError
from flowrra.message import Entry, Message, Place, Record
from flowrra.result import Attempt, Progress, TaskResult
from flowrra.serialization import decode_arguments, decode_value
from flowrra.state import TaskState, decode_state, utc
from flowrra.status import TaskStatus


def result_of_record(record: Record) -> TaskResult:
    """The result of a finished task."""
    started_at = None if record.started_at is None else utc(record.started_at)
    return TaskResult(
        status=record.status,
        result=None if record.value is None else decode_value(record.value),
        error=record.error,
        started_at=started_at,
        finished_at=utc(record.finished_at),
        retries=record.retries,
        traceback=record.traceback,
        submitted_at=utc(record.submitted_at),
        worker=record.worker,
        attempts=_attempts(record),
        progress=_progress(record.progress),
        dead_reason=record.dead_reason,
        **_facts(record.message),
    )


def result_of_entry(entry: Entry) -> TaskResult:
    """What is known of a task that a broker still has."""
    state = decode_state(entry.state)
    running = entry.place is Place.LEASED and entry.claimed_at is not None
    return TaskResult(
        status=_status(entry.place, state),
        error=entry.reason or (state.attempts[-1].error if state.attempts else None),
        started_at=utc(entry.claimed_at) if running and entry.claimed_at else None,
        retries=state.retries,
        traceback=state.attempts[-1].traceback if state.attempts else None,
        submitted_at=utc(entry.submitted_at),
        worker=entry.worker if running else None,
        attempts=state.attempts,
        progress=_progress(entry.progress),
        dead_reason=entry.reason if entry.place is Place.DEAD else None,
        due_at=utc(entry.due) if entry.place is Place.DELAYED and entry.due else None,
        **_facts(entry.message),
    )


def result_of_unknown(task_id: str) -> TaskResult:
    """What is said of an id without a result where the broker can't be asked."""
    return TaskResult(task_id, TaskStatus.PENDING)


def _status(place: Place, state: TaskState) -> TaskStatus:
    if place is Place.LEASED:
        return TaskStatus.RUNNING
    if place is Place.DEAD:
        return TaskStatus.FAILED
    if state.retries:
        return TaskStatus.RETRYING
    return TaskStatus.SCHEDULED if place is Place.DELAYED and not state.parked else TaskStatus.PENDING


def _facts(message: Message) -> dict[str, Any]:
    """What the message says. Arguments that can't be read are left out: the result's error says why."""
    try:
        args, kwargs = decode_arguments(message.body)
    except DecodingError:
        args, kwargs = (), {}
    return {
        "task_id": message.id,
        "task_name": message.task,
        "args": args,
        "kwargs": kwargs,
        "priority": message.priority,
        "queue": message.queue,
        "retry_of": message.retry_of,
    }


def _progress(data: bytes | None) -> Progress | None:
    return None if data is None else Progress(**decode_value(data))


def _attempts(record: Record) -> tuple[Attempt, ...]:
    """The earlier attempts and the last one."""
    earlier = decode_state(record.state).attempts
    if record.started_at is None:
        return earlier
    last = Attempt(
        number=record.retries + 1,
        started_at=utc(record.started_at),
        finished_at=utc(record.finished_at),
        worker=record.worker,
        error=record.error,
        traceback=record.traceback,
        log=record.log,
    )
    return (*earlier, last)
