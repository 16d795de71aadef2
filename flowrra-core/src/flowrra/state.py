"""What a task carries from one delivery to the next: its earlier attempts. Opaque to brokers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from flowrra.exceptions import PayloadTooLargeError
from flowrra.result import Attempt
from flowrra.serialization import decode_value, encode_value

#: How many attempts are kept in full, the newest ones.
ATTEMPTS_KEPT: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """A task's past: retries so far, its attempts, and since when no worker has known it."""

    retries: int = 0
    attempts: tuple[Attempt, ...] = ()
    parked: int = 0
    parked_since: float | None = None

    def after(self, attempt: Attempt) -> TaskState:
        """The state once *attempt* has failed and another is to come."""
        return TaskState(retries=self.retries + 1, attempts=(*self.attempts, attempt)[-ATTEMPTS_KEPT:])

    def parked_at(self, now: float) -> TaskState:
        """The state once a worker met the task at *now* (epoch seconds) and couldn't run it."""
        since = now if self.parked_since is None else self.parked_since
        return replace(self, parked=self.parked + 1, parked_since=since)

    def encode(self) -> bytes:
        """Bytes for the broker to keep; empty for a task without a past. What doesn't fit loses its oldest
        attempts."""
        if self == FRESH:
            return b""
        for kept in range(len(self.attempts), -1, -1):
            try:
                return self._encode(self.attempts[len(self.attempts) - kept :])
            except PayloadTooLargeError:
                continue
        return b""

    def _encode(self, attempts: tuple[Attempt, ...]) -> bytes:
        return encode_value(
            {
                "retries": self.retries,
                "attempts": [_plain(attempt) for attempt in attempts],
                "parked": self.parked,
                "parked_since": self.parked_since,
            }
        )


FRESH: Final = TaskState()


def decode_state(data: bytes) -> TaskState:
    """Read what ``TaskState.encode`` wrote.

    Raises:
        DecodingError: The bytes are damaged.
    """
    if not data:
        return FRESH
    values = decode_value(data)
    return TaskState(
        retries=values["retries"],
        attempts=tuple(_attempt(each) for each in values["attempts"]),
        parked=values["parked"],
        parked_since=values["parked_since"],
    )


def utc(seconds: float) -> datetime:
    """Epoch seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


def _plain(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started": attempt.started_at.timestamp(),
        "finished": attempt.finished_at.timestamp(),
        "worker": attempt.worker,
        "error": attempt.error,
        "traceback": attempt.traceback,
        "log": attempt.log,
    }


def _attempt(values: Mapping[str, Any]) -> Attempt:
    return Attempt(
        number=values["number"],
        started_at=utc(values["started"]),
        finished_at=utc(values["finished"]),
        worker=values["worker"],
        error=values["error"],
        traceback=values["traceback"],
        log=values["log"],
    )
