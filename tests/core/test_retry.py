"""When a failed attempt is repeated, and when not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrra.retry import RetryPolicy, decide, delay_before


def never() -> float:
    raise AssertionError("no jitter, no chance")


def is_a(error: BaseException) -> Callable[[tuple[type[BaseException], ...]], bool]:
    """The question for an error's class that ``decide`` asks."""
    return partial(isinstance, error)


def test_delays_double() -> None:
    policy = RetryPolicy(retry_delay=2.0)
    assert [delay_before(policy, attempt, never) for attempt in range(1, 6)] == [2, 4, 8, 16, 32]


def test_delays_stop_growing_at_the_maximum() -> None:
    policy = RetryPolicy(retry_delay=1.0, max_retry_delay=60.0)
    assert [delay_before(policy, attempt, never) for attempt in (6, 7, 8)] == [32, 60, 60]


@given(
    delay=st.floats(0, allow_nan=False, allow_infinity=False),
    attempt=st.integers(1, 10**30),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_delay_leaves_its_bounds(delay: float, attempt: int, jitter: float, chance: float) -> None:
    """However late the attempt and however long the first delay."""
    policy = RetryPolicy(retry_delay=delay, retry_jitter=jitter)
    assert 0 <= delay_before(policy, attempt, lambda: chance) <= 3600 * (1 + jitter)


def test_jitter_adds_a_random_part_of_the_delay() -> None:
    policy = RetryPolicy(retry_delay=10.0, retry_jitter=0.5)
    chances = iter([0.0, 0.5, 1.0])
    assert [delay_before(policy, 1, lambda: next(chances)) for _ in range(3)] == [10, 12.5, 15]


def test_retries_are_counted() -> None:
    policy = RetryPolicy(max_retries=2, retry_delay=1.0)
    assert [decide(policy, is_a(ValueError()), retries, never) for retries in range(4)] == [1, 2, None, None]


def test_without_retries_the_first_failure_is_final() -> None:
    assert decide(RetryPolicy(max_retries=0), is_a(ValueError()), 0, never) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(), 1.0),
        (TimeoutError(), 1.0),
        (PermissionError(), None),
        (ValueError(), None),
        (SystemExit(), None),
    ],
)
def test_errors_decide(error: BaseException, expected: float | None) -> None:
    """Subclasses count; an error that is final stays so even where its base class is not."""
    policy = RetryPolicy(retry_on=(OSError,), no_retry_on=(PermissionError,))
    assert decide(policy, is_a(error), 0, never) == expected


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_exception_is_not_repeated_by_default(error: BaseException) -> None:
    assert decide(RetryPolicy(), is_a(error), 0, never) is None
