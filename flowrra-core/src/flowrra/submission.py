"""From a task with arguments and options to a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flowrra.exceptions import UnsupportedError
from flowrra.message import Message, Record, new_id
from flowrra.options import Options, check_name
from flowrra.registry import AnyTask
from flowrra.serialization import encode_arguments

if TYPE_CHECKING:
    from flowrra.protocols import Broker


#: What all messages without headers share.
NO_HEADERS: Final[Mapping[str, str]] = {}


def make_message(
    task: AnyTask, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: Options, broker: Broker
) -> Message:
    """The message that submits *task*.

    Raises:
        TypeError: The function can't be called with these arguments.
        EncodingError: An argument can't be encoded.
        PayloadTooLargeError: The arguments take more than 1 MiB.
        UnsupportedError: *broker* can't do what the options ask for.
    """
    task.check_arguments(args, kwargs)
    unique_key = options.unique_key
    if unique_key is None and task.unique_key is not None:
        unique_key = task.unique_key(*args, **kwargs)
        check_name("unique_key", unique_key)
    if options.priority or unique_key is not None:
        _check_capabilities(broker, options.priority, unique_key)
    return Message(
        new_id(),
        task.name,
        options.queue,
        task.kind,
        options.priority,
        encode_arguments(args, kwargs, what=task.label, names=task.parameter_names),
        dict(options.headers) if options.headers else NO_HEADERS,
        options.delay,
        None if options.eta is None else options.eta.timestamp(),
        options.expires,
        options.timeout,
        unique_key,
    )


def repeat(record: Record | Message) -> Message:
    """The message that runs a finished task again, under a new id."""
    message = record.message if isinstance(record, Record) else record
    return message._replace(
        id=new_id(), delay=0.0, eta=None, schedule=None, fire_time=None, retry_of=message.id
    )


def _check_capabilities(broker: Broker, priority: int, unique_key: str | None) -> None:
    if priority and not broker.capabilities.priority:
        raise UnsupportedError(broker, f"order by priority (asked for {priority})")
    if unique_key is not None and not broker.capabilities.unique_keys:
        raise UnsupportedError(broker, f"keep unique keys (asked for {unique_key!r})")
