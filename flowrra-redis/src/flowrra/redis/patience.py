"""How long a call goes on trying, and how it waits in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Final

from flowrra.exceptions import TransientError
from flowrra.redis.errors import final, told

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.5

#: The part of ``socket_timeout`` that a call spends trying, so that its caller has the error in time.
SHARE: Final = 0.95


def pauses() -> Iterator[float]:
    """Seconds to wait before each next try: longer each time, and not the same for everybody."""
    pause = _FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1)
        pause = min(pause * 2, _LONGEST_PAUSE)


class Patience:
    """One call's time: *timeout* seconds from now on, all connecting and trying again included."""

    __slots__ = ("_pauses", "_reason", "_resend", "_seconds", "until")

    def __init__(self, timeout: float, *, resend: bool) -> None:
        self._seconds = timeout * SHARE
        self._resend = resend
        self._pauses = pauses()
        #: What went wrong last. The last try may be cut short by the end of the time: that is no reason.
        self._reason: BaseException = TimeoutError()
        self.until: Final = asyncio.get_running_loop().time() + self._seconds

    def limit(self) -> float:
        """Until when the next try may wait for its answer: half of the time left, if a second may follow."""
        if not self._resend:
            return self.until
        return (asyncio.get_running_loop().time() + self.until) / 2

    async def after(self, error: BaseException, server: str) -> None:
        """Wait before trying again after the connection to *server* broke.

        Raises:
            PermanentError: Trying again can't help.
            TransientError: The time is over.
        """
        hopeless = final(error, server)
        if hopeless is not None:
            raise hopeless from None
        goes_on = self._resend or not isinstance(error, TimeoutError)
        if isinstance(error, TimeoutError):
            self._resend = False
        else:
            self._reason = error
        if not (goes_on and await self.pause()):
            raise self._over(server) from None

    async def pause(self) -> bool:
        """Wait a moment, longer each time; False if the time is over."""
        pause = next(self._pauses)
        left = self.until - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, min(pause, left)))
        return pause < left

    def _over(self, server: str) -> TransientError:
        return TransientError(
            f"Redis at {server} can't be reached: {told(self._reason)}; tried for {self._seconds:.3g} s. "
            "Check that it runs, is not overloaded, and can be reached from here"
        )
