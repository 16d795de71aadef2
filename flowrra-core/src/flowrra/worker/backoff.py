"""Patience with a server that doesn't answer."""

from __future__ import annotations

import logging
import random
from typing import Final

from flowrra.clock import Clock, sleep
from flowrra.url import redact

logger: logging.Logger = logging.getLogger("flowrra.worker")

FIRST: Final = 0.1
LONGEST: Final = 2.0


class Backoff:
    """Waits 0.1 to 2 seconds, longer after each failure in a row; says what happened once per row."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0

    async def after(self, error: Exception, what: str) -> None:
        """Report the first failure of a row, then wait."""
        if self._failures == 0:
            logger.warning(
                "%s: %s; trying again until it works", what, redact(f"{type(error).__name__}: {error}")
            )
            logger.debug("details", exc_info=error)
        longest = min(LONGEST, FIRST * 2 ** min(self._failures, 10))
        self._failures += 1
        await sleep(self._clock, longest * random.uniform(0.5, 1.0))

    def reset(self) -> None:
        """It worked; say so if it had not before."""
        if self._failures:
            logger.info("works again after %d failures", self._failures)
            self._failures = 0
