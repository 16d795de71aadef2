"""Who hears of what a worker does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from flowrra.call import Call
from flowrra.message import Delivery, Settlement

#: Runs one call through middleware and executor.
Runner: TypeAlias = Callable[[Call], Awaitable[object]]
#: Something around every call: awaits ``next(call)`` and returns its value, or another.
Middleware: TypeAlias = Callable[[Call, Runner], Awaitable[object]]


class Ended(NamedTuple):
    """An accepted settlement, and the delivery it ended if that ran here."""

    settlement: Settlement
    delivery: Delivery | None


class Observer(Protocol):
    """Told of every batch; its failures are its own affair."""

    @property
    def wants_started(self) -> bool:
        """Whether ``started`` does anything."""
        ...

    @property
    def wants_ended(self) -> bool:
        """Whether ``ended`` does anything."""
        ...

    async def started(self, calls: Sequence[Call]) -> None:
        """These calls are about to begin."""
        ...

    async def ended(self, batch: Sequence[Ended]) -> None:
        """These deliveries are settled: done, dead or to be retried."""
        ...
