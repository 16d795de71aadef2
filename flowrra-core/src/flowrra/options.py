"""How to submit a task: options with their bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

PRIORITY_MIN: Final = -512
PRIORITY_MAX: Final = 511

#: Longest name of a task or queue, id or unique key, in characters.
NAME_LIMIT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of a submission, checked when made: an error names what is out of range."""

    priority: int = 0
    delay: float = 0.0
    eta: datetime | None = None
    queue: str = "default"
    timeout: float | None = None
    unique_key: str | None = None
    expires: float | None = None
    headers: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_priority(self.priority)
        for name in ("delay", "timeout", "expires"):
            check_seconds(name, getattr(self, name))
        for name in ("queue", "unique_key"):
            check_name(name, getattr(self, name))
        if self.eta is not None:
            _check_eta(self)
        if self.headers is not None:
            _check_headers(self.headers)


def check_priority(priority: object) -> None:
    """Raise ValueError unless *priority* is a whole number from -512 to 511."""
    if type(priority) is not int or not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise ValueError(
            f"priority is {priority!r}; it must be a whole number from {PRIORITY_MIN} to {PRIORITY_MAX}, "
            "the lower number runs first"
        )


def check_seconds(name: str, value: object) -> None:
    """Raise ValueError unless *value* is None or a finite number of seconds, not negative."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value!r}; it must be a finite number of seconds, not negative")


def check_retries(
    max_retries: object, retry_delay: object, max_retry_delay: object, retry_jitter: object
) -> None:
    """Raise ValueError, naming what is out of range, unless a task can have these retry settings."""
    if max_retries is not None and (type(max_retries) is not int or max_retries < 0):
        raise ValueError(f"max_retries is {max_retries!r}; it must be a whole number, not negative")
    check_seconds("retry_delay", retry_delay)
    check_seconds("max_retry_delay", max_retry_delay)
    if (
        isinstance(retry_jitter, bool)
        or not isinstance(retry_jitter, int | float)
        or not 0 <= retry_jitter <= 1
    ):
        raise ValueError(f"retry_jitter is {retry_jitter!r}; it must be a fraction from 0 to 1")


def check_name(name: str, value: object) -> None:
    """Raise ValueError unless *value* is None or a printable text of 1 to 200 characters."""
    if value is None:
        return
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_LIMIT or not value.isprintable():
        raise ValueError(
            f"{name} is {value!r:.100}; it must be printable text of 1 to {NAME_LIMIT} characters"
        )


def _check_eta(options: Options) -> None:
    eta: object = options.eta
    if not isinstance(eta, datetime) or eta.tzinfo is None:
        raise ValueError(
            f"eta is {eta!r}, which has no time zone; write "
            "datetime(2030, 1, 1, 9, tzinfo=timezone.utc) or datetime.now().astimezone()"
        )
    if options.delay:
        raise ValueError(f"both delay ({options.delay:g} s) and eta ({eta}) are given; choose one")


def _check_headers(headers: Mapping[Any, Any]) -> None:
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"header {name!r} is {value!r:.100}; names and values of headers must be text")
