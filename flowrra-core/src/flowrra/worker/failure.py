"""What is kept of an exception: text, never the object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from flowrra.exceptions import (
    DecodingError,
    EncodingError,
    PayloadTooLargeError,
    TaskDefinitionError,
    TaskTimeoutError,
)
from flowrra.executors.remote import RemoteError
from flowrra.retry import RetryPolicy, decide
from flowrra.serialization import clip

#: Errors that every further attempt would end with.
HOPELESS: Final = (DecodingError, EncodingError, PayloadTooLargeError, TaskDefinitionError)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as text, and how to ask for its class."""

    error: str
    traceback: str | None
    is_a: Callable[[tuple[type[BaseException], ...]], bool]
    retryable: bool = True

    def retry_delay(self, policy: RetryPolicy, retries: int, random: Callable[[], float]) -> float | None:
        """Seconds before the next attempt, or None if there is none."""
        return decide(policy, self.is_a, retries, random) if self.retryable else None


def describe(error: BaseException) -> Failure:
    """The failure that *error* is. What is hopeless is not repeated."""
    facts = RemoteError.describe(error, retryable=not isinstance(error, HOPELESS))
    is_a = facts.is_a if isinstance(error, RemoteError) else partial(isinstance, error)
    trace = clip(facts.traceback_text) if facts.traceback_text else None
    return Failure(clip(str(facts)), trace, is_a, facts.retryable)


def timed_out(timeout: float | None) -> Failure:
    """The failure of an attempt that ran out of time."""
    error = TaskTimeoutError(f"the attempt took longer than its timeout of {timeout or 0:g} s")
    return Failure(f"TaskTimeoutError: {error}", None, partial(isinstance, error))
