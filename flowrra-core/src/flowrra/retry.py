"""Whether and when a failed attempt is repeated: pure functions of the policy and the failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

#: Doublings after which any delay has reached any sensible maximum; keeps the power within a float.
_MOST_DOUBLINGS: Final = 1000


class RetryPolicy(NamedTuple):
    """How often, how late and after which errors an attempt is repeated. Times are seconds."""

    max_retries: int = 3
    retry_delay: float = 1.0
    max_retry_delay: float = 3600.0
    #: Fraction of the delay, 0 to 1, up to which it grows at random.
    retry_jitter: float = 0.0
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    #: Errors that are final; beats ``retry_on``.
    no_retry_on: tuple[type[BaseException], ...] = ()


def delay_before(policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds before repetition number *attempt*, 1 for the first: doubled each time, up to the maximum.

    *random* returns a number from 0 to 1; it is asked only if there is jitter, which may exceed the maximum.
    """
    delay = policy.retry_delay * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)
    delay = min(delay, policy.max_retry_delay)
    return delay * (1 + policy.retry_jitter * random()) if policy.retry_jitter else delay


def decide(
    policy: RetryPolicy,
    is_a: Callable[[tuple[type[BaseException], ...]], bool],
    retries: int,
    random: Callable[[], float],
) -> float | None:
    """Seconds until the next attempt after a failure, or None if the task has failed for good.

    *is_a* tells whether the failure is of one of the given classes; it may have happened in another
    process. *retries* counts the repetitions so far: 0 after the first attempt.
    """
    if retries >= policy.max_retries or is_a(policy.no_retry_on) or not is_a(policy.retry_on):
        return None
    return delay_before(policy, retries + 1, random)
