"""What travels between producer, broker, worker and backend.

These are made once or more per task, so they are named tuples: as immutable as a
frozen dataclass, and five times cheaper to make. Brokers and backends treat every
``bytes`` field as opaque.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from flowrra.status import TaskStatus

#: The newest message format that this version writes and reads.
FORMAT: Final = 1


def new_id() -> str:
    """Return a fresh task id: 32 hex digits, 20 of them random, that sort by millisecond of making."""
    while True:
        try:
            return f"{time.time_ns() // 1_000_000:012x}{_random.pop()}"
        except IndexError:
            digits = os.urandom(10 * 256).hex()
            _random.extend(digits[start : start + 20] for start in range(0, len(digits), 20))


# Random digits for the next ids, fetched in blocks. A forked child must not use its parent's.
_random: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.clear)


class Message(NamedTuple):
    """One task on its way: everything a broker may look at, and the arguments, encoded."""

    id: str
    task: str
    queue: str
    lane: str  #: the executor kind that will run it
    priority: int  #: the lower number runs first
    body: bytes  #: encoded arguments
    headers: Mapping[str, str]  #: travel with the task; trace context goes here
    delay: float = 0.0  #: seconds after acceptance before it may run
    eta: float | None = None  #: not before this time, epoch seconds; beats ``delay``
    expires: float | None = None  #: seconds after acceptance in which it must have started
    timeout: float | None = None  #: seconds for one attempt
    unique_key: str | None = None
    max_retries: int | None = None  #: overrides the task's own
    retry_delay: float | None = None  #: overrides the task's own
    schedule: str | None = None  #: the schedule whose tick this is
    fire_time: float | None = None  #: that tick's time, epoch seconds
    retry_of: str | None = None  #: the task that this one repeats
    version: int = FORMAT


class Acceptance(Enum):
    """What a broker did with a message."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    FULL = "full"


class Enqueued(NamedTuple):
    """The broker's answer to one message; ``id`` names the earlier task for a duplicate."""

    acceptance: Acceptance
    id: str


class Receipt(NamedTuple):
    """The right to renew and settle one delivery, as long as nobody has claimed the task again."""

    id: str
    queue: str
    fence: int


class Delivery(NamedTuple):
    """A message under lease. Times are epoch seconds of the broker's clock."""

    message: Message
    receipt: Receipt
    deliveries: int  #: how often it was handed out without a settlement, this time included
    submitted_at: float
    claimed_at: float
    expires_at: float | None = None
    state: bytes = b""  #: what the last ``Settlement.state`` said


class Claim(NamedTuple):
    """The answer to a claim: deliveries in the order to run them, and seconds until a delayed
    task or an expired lease may make more (``None``: nothing is waiting for time)."""

    deliveries: list[Delivery]
    wake_in: float | None = None


class Renewal(NamedTuple):
    """Hold one delivery for another lease, and keep its newest progress."""

    receipt: Receipt
    progress: bytes | None = None


class Holding(Enum):
    """The answer to a renewal.

    ``LOST``: stop, the result will be refused. ``CANCELLED``: stop, it is still yours to settle.
    """

    HELD = "held"
    LOST = "lost"
    CANCELLED = "cancelled"


class Verdict(Enum):
    """How a delivery ends."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead"
    RELEASE = "release"


class Record(NamedTuple):
    """A task's final result as a backend keeps it. Times are epoch seconds."""

    message: Message
    status: TaskStatus
    fence: int  #: of the delivery that produced it; an older one never replaces a newer
    submitted_at: float
    finished_at: float
    started_at: float | None = None
    value: bytes | None = None  #: the encoded result
    error: str | None = None
    traceback: str | None = None
    worker: str | None = None
    retries: int = 0
    state: bytes = b""  #: earlier attempts, encoded
    log: str | None = None  #: newest lines that the last attempt logged
    progress: bytes | None = None
    dead_reason: str | None = None


class Settlement(NamedTuple):
    """The end of one delivery.

    ``DONE`` and ``DEAD`` carry the record to store. ``RETRY`` and ``RELEASE`` put the task
    back: after ``delay`` seconds, or at once in its old place for a release without one.
    ``state`` replaces the task's state. An uncounted settlement doesn't count as a crash.
    """

    receipt: Receipt
    verdict: Verdict
    record: Record | None = None
    delay: float = 0.0
    state: bytes = b""
    counted: bool = False
    reason: str | None = None


class Place(Enum):
    """Where a broker keeps a task."""

    READY = "ready"
    DELAYED = "delayed"
    LEASED = "leased"
    DEAD = "dead"


class Entry(NamedTuple):
    """What a broker knows of one task. Times are epoch seconds."""

    message: Message
    place: Place
    fence: int
    submitted_at: float
    deliveries: int = 0
    due: float | None = None  #: when a delayed task may run, or since when a dead one is dead
    claimed_at: float | None = None
    worker: str | None = None
    state: bytes = b""
    progress: bytes | None = None
    reason: str | None = None


class QueueCounts(NamedTuple):
    """How many tasks of one queue are in each place, and the age of the oldest ready one in seconds."""

    queue: str
    ready: int = 0
    delayed: int = 0
    leased: int = 0
    dead: int = 0
    paused: bool = False
    oldest_age: float | None = None
