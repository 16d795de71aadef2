"""How a message is stored: a line of JSON that says what it is, and the arguments as they are.

``[version,task,lane,priority]`` is the line, and an object of the other fields follows inside the list
where one differs from its default. Id and queue are not stored: whoever reads knows them from the key.
"""

from __future__ import annotations

import json
from typing import Any, Final

from flowrra.exceptions import DecodingError
from flowrra.message import FORMAT, Message

_NAMED: Final = Message._fields[7:-1]
_DEFAULTS: Final = Message._field_defaults
#: The end of a message whose fields from ``delay`` on have their defaults.
_PLAIN: Final = tuple(_DEFAULTS[name] for name in Message._fields[7:])

#: Heads of plain messages in both directions. There are as many as tasks and priorities, so few.
_CACHED: Final = 4096
_heads: Final[dict[tuple[str, str, int], bytes]] = {}
_fields: Final[dict[bytes, tuple[str, str, int]]] = {}

_to_json: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack_message(message: Message) -> bytes:
    """The stored form of *message*, without its id and queue."""
    _, task, _, lane, priority, body, headers = message[:7]
    if headers or message[7:] != _PLAIN:
        return _full_head(message) + body
    head = _heads.get((task, lane, priority))
    if head is None:
        head = _to_json([FORMAT, task, lane, priority]).encode() + b"\n"
        _room(_heads)[task, lane, priority] = head
    return head + body


def unpack_message(id: str, queue: str, data: bytes) -> Message:
    """The message that was packed. One of a newer format has its ``version`` and what is known of it.

    Raises:
        DecodingError: *data* is not what Flowrra writes.
    """
    head, _, body = data.partition(b"\n")
    fields = _fields.get(head)
    if fields is None:
        return _unpack(id, queue, head, body)
    task, lane, priority = fields
    return Message._make((id, task, queue, lane, priority, body, {}, *_PLAIN))


def _full_head(message: Message) -> bytes:
    others = {name: value for name in _NAMED if (value := getattr(message, name)) != _DEFAULTS[name]}
    head: list[object] = [message.version, message.task, message.lane, message.priority]
    if message.headers:
        others["headers"] = dict(message.headers)
    if others:
        head.append(others)
    return _to_json(head).encode() + b"\n"


def _unpack(id: str, queue: str, head: bytes, body: bytes) -> Message:
    """Read a head that isn't known yet."""
    try:
        version, task, lane, priority, *more = json.loads(head)
        others: dict[str, Any] = dict(more[0]) if more else {}
        headers = dict(others.pop("headers", {}))
        if version > FORMAT:
            others = {name: others[name] for name in _NAMED if name in others}
        message = Message(id, task, queue, lane, priority, body, headers, **others, version=version)
    except (TypeError, ValueError) as error:
        raise DecodingError(
            f"task {id!r} in queue {queue!r} is not stored in a form that this version of Flowrra reads"
        ) from error
    if not more and version == FORMAT:
        _room(_fields)[head] = (task, lane, priority)
    return message


def _room(cache: dict[Any, Any]) -> dict[Any, Any]:
    """The cache, with room for one more."""
    if len(cache) >= _CACHED:
        cache.clear()
    return cache
