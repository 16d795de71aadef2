"""Messages, records and calls as producers and workers make them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

from flowrra.app import Flowrra
from flowrra.call import Call
from flowrra.message import Message, Record, new_id
from flowrra.options import Options
from flowrra.registry import AnyTask
from flowrra.serialization import encode_arguments
from flowrra.status import TaskStatus
from flowrra.task import RetryOptions, Task

#: The queue, lane and task of a message that doesn't say otherwise.
QUEUE: Final = "default"
LANE: Final = "io"

_numbers = count(1)


def make_message(id: str | None = None, **fields: Any) -> Message:
    """A message for the queue ``default``, lane ``io``; *fields* are a :class:`Message`'s."""
    number = next(_numbers)
    plain: dict[str, Any] = {
        "task": "work", "queue": QUEUE, "lane": LANE, "priority": 0, "body": b"body-%d" % number,
        "headers": {},
    }  # fmt: skip
    return Message(id or new_id(), **{**plain, **fields})


def make_record(finished_at: float, message: Message | None = None, **fields: Any) -> Record:
    """The record of a success at *finished_at*; *fields* are a :class:`Record`'s."""
    plain: dict[str, Any] = {
        "status": TaskStatus.SUCCESS, "fence": 1, "submitted_at": finished_at - 3.0,
        "started_at": finished_at - 1.0, "value": b"value", "worker": "worker-1",
    }  # fmt: skip
    return Record(message or make_message(), finished_at=finished_at, **{**plain, **fields})


def make_call(function: Callable[..., Any], *args: Any, **options: Any) -> Call:
    """A call of *function* as a worker hands it to an executor; *options* are a :class:`Call`'s."""
    name = function.__name__
    task: AnyTask = Task(Flowrra(), function, name, "any", Options(), RetryOptions())
    return Call(task, new_id(), encode_arguments(args, {}, what=name), **options)
