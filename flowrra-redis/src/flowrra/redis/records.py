"""How a record is stored: its fence as text, which scripts compare, and then bytes that they don't look into.

After the line ``<fence>`` comes a head of fixed length with the numbers and the lengths of the parts, then
the parts: queue, worker, message, value. A record of more than that has the long form: behind the parts
stand the lengths of the others, and these.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from flowrra.exceptions import DecodingError
from flowrra.message import Record
from flowrra.redis.messages import pack_message, unpack_message
from flowrra.status import TaskStatus

_SHORT: Final = 1
_LONG: Final = 2
#: The length of a part that is None.
_NONE: Final = 0xFFFFFFFF
#: The time of a start that never was.
_NEVER: Final = float("nan")

#: Form, status, retries; submitted, finished, started; lengths of queue, worker, message, value.
_HEAD: Final = struct.Struct("<BBIddd4I")
#: Lengths of error, traceback, state, log, progress, dead reason.
_MORE: Final = struct.Struct("<6I")
_ORDINARY: Final = (None, None, b"", None, None, None)

#: A status is stored by its place here: never reorder, only append.
_STATUSES: Final = (TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED)
_NUMBERS: Final = {status: number for number, status in enumerate(_STATUSES)}


def record_key(id: str) -> str:
    """Where the record of a task is."""
    return f"flowrra:r:{{{id}}}"


def pack_record(record: Record) -> bytes:
    """The stored form of *record*, without its id."""
    (message, status, fence, submitted, finished, started, value,
     error, traceback, worker, retries, state, log, progress, dead_reason) = record  # fmt: skip
    others = (error, traceback, state, log, progress, dead_reason)
    short = others == _ORDINARY
    queue, packed = message[2].encode(), pack_message(message)
    by = b"" if worker is None else worker.encode("utf-8", "surrogatepass")
    head = _HEAD.pack(
        _SHORT if short else _LONG, _NUMBERS[status], retries,
        submitted, finished, _NEVER if started is None else started,
        len(queue), _NONE if worker is None else len(by), len(packed), _NONE if value is None else len(value),
    )  # fmt: skip
    stored = b"%d\n%b%b%b%b%b" % (fence, head, queue, by, packed, value or b"")
    return stored if short else stored + _pack_others(others)


def unpack_record(id: str, data: bytes) -> Record:
    """The record that was packed.

    Raises:
        DecodingError: *data* is not what Flowrra writes, or was written by a newer version.
    """
    try:
        return _unpack(id, data)
    except (IndexError, ValueError, struct.error) as error:
        raise DecodingError(
            f"the result of task {id!r} is not stored in a form that this version of Flowrra reads"
        ) from error


def _unpack(id: str, data: bytes) -> Record:
    start = data.index(b"\n") + 1
    form, status, retries, submitted, finished, started, *lengths = _HEAD.unpack_from(data, start)
    if form not in (_SHORT, _LONG):
        raise ValueError(form)
    (queue, worker, packed, value), end = _cut(data, start + _HEAD.size, lengths)
    others: Sequence[Any] = _ORDINARY
    if form == _LONG:
        others, end = _cut(data, end + _MORE.size, _MORE.unpack_from(data, end))
    if end != len(data):
        raise ValueError(end)
    error, traceback, state, log, progress, dead_reason = others
    return Record(
        unpack_message(id, queue.decode(), packed), _STATUSES[status], int(data[: start - 1]),
        submitted, finished, None if started != started else started, value,  # noqa: PLR0124 - NaN
        _text(error), _text(traceback), _text(worker), retries, state,
        _text(log), progress, _text(dead_reason),
    )  # fmt: skip


def _pack_others(others: Sequence[str | bytes | None]) -> bytes:
    """What only some records have, behind the lengths."""
    parts = [part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part for part in others]
    lengths = (_NONE if part is None else len(part) for part in parts)
    return _MORE.pack(*lengths) + b"".join(part for part in parts if part is not None)


def _cut(data: bytes, start: int, lengths: Sequence[int]) -> tuple[list[Any], int]:
    """The parts of these lengths, from *start* on, and where the last one ends."""
    parts: list[bytes | None] = []
    for length in lengths:
        if length == _NONE:
            parts.append(None)
        else:
            parts.append(data[start : start + length])
            start += length
    return parts, start


def _text(part: bytes | None) -> str | None:
    return None if part is None else part.decode("utf-8", "surrogatepass")
