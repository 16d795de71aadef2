"""What scripts on queues answer, as Flowrra's facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from flowrra.exceptions import DecodingError
from flowrra.message import Delivery, Entry, Message, Place, Receipt
from flowrra.redis.messages import unpack_message

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


def read_deliveries(groups: Sequence[Sequence[Any]], queues: Sequence[str], claimed_at: float) -> Handed:
    """Read groups of deliveries: the number of the queue; id, task and what is special of each."""
    deliveries: list[Delivery] = []
    unreadable: list[Receipt] = []
    for group in groups:
        number: int = group[0]
        queue = queues[number - 1]
        items = iter(group)
        next(items)
        for raw_id, task, special in zip(items, items, items, strict=True):
            task_id = raw_id.decode()
            fence, count, state = _special(special) if special else (1, 1, b"")
            receipt = Receipt(task_id, queue, fence)
            try:
                stamp, _, data = task.partition(b" ")
                message, submitted = unpack_message(task_id, queue, data), int(stamp) / 1_000_000
            except (AttributeError, ValueError):
                unreadable.append(receipt)
                continue
            expires_at = None if message.expires is None else submitted + message.expires
            deliveries.append(Delivery(message, receipt, count, submitted, claimed_at, expires_at, state))
    return Handed(deliveries, unreadable)


def _special(text: bytes) -> tuple[int, int, bytes]:
    """Fence, deliveries and state of a task that was handed out before."""
    fence, count, state = text.split(b" ", 2)
    return int(fence), int(count), state


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
