"""What scripts on queues answer, as Flowrra's facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from flowrra.exceptions import DecodingError
from flowrra.message import Delivery, Entry, Message, Place, Receipt
from flowrra.redis.messages import unpack_message

#: Values of one delivery in a script's answer.
_FIELDS: Final = 6

_PLACES: Final = {
    b"ready": Place.READY,
    b"delayed": Place.DELAYED,
    b"leases": Place.LEASED,
    b"dead": Place.DEAD,
}


def seconds(microseconds: bytes | str) -> float:
    """A time or duration in seconds."""
    return int(microseconds) / 1_000_000


def microseconds(duration: float) -> int:
    """A duration in microseconds."""
    return round(duration * 1_000_000)


class Handed(NamedTuple):
    """What was handed out, and receipts of tasks that can't be read."""

    deliveries: list[Delivery]
    unreadable: list[Receipt]


def read_deliveries(values: Sequence[Any], queues: Sequence[str], claimed_at: float) -> Handed:
    """Read deliveries: number of the queue, id, fence, deliveries, task and state of each."""
    deliveries: list[Delivery] = []
    unreadable: list[Receipt] = []
    for at in range(0, len(values), _FIELDS):
        number, raw_id, fence, count, task, state = values[at : at + _FIELDS]
        task_id, queue = raw_id.decode(), queues[number - 1]
        receipt = Receipt(task_id, queue, int(fence))
        stamp, _, data = task.partition(b" ")
        try:
            message = unpack_message(task_id, queue, data)
            submitted = int(stamp) / 1_000_000
        except ValueError:
            unreadable.append(receipt)
            continue
        expires_at = None if message.expires is None else submitted + message.expires
        deliveries.append(Delivery(message, receipt, int(count), submitted, claimed_at, expires_at, state))
    return Handed(deliveries, unreadable)


class Past(NamedTuple):
    """What the broker remembers of a task that was handed out before, or has to wait."""

    fence: int = 0
    deliveries: int = 0
    claimed_at: float | None = None
    worker: str | None = None

    @classmethod
    def read(cls, text: bytes) -> Past:
        """Read what ``write_past`` wrote; of a fresh task there is none."""
        if not text:
            return cls()
        facts, _, worker = text.decode().partition("\n")
        fence, deliveries, _, claimed, _ = facts.split(" ", 4)
        return cls(int(fence), int(deliveries), seconds(claimed) if claimed != "0" else None, worker or None)


def read_entry(values: Sequence[bytes], queue: str) -> Entry:
    """Read one task that was found. One that can't be read has the name ``?``."""
    raw_id, place, task, kept, due, state, progress, reason = values
    task_id = raw_id.decode()
    stamp, _, data = task.partition(b" ")
    try:
        message, submitted = unpack_message(task_id, queue, data), seconds(stamp)
    except (DecodingError, ValueError):
        message, submitted = Message(task_id, "?", queue, "", 0, data, {}), 0.0
    past = Past.read(kept)
    where = _PLACES[place]
    return Entry(
        message, where, past.fence, submitted, past.deliveries,
        seconds(due) if where in (Place.DELAYED, Place.DEAD) else None,
        past.claimed_at, past.worker, state, progress or None, reason.decode() or None,
    )  # fmt: skip
