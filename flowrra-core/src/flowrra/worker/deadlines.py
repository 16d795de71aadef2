"""Time limits of many running tasks on one timer."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

from flowrra.clock import Clock, Timer

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls back for each item whose time has come. Adding and discarding cost O(log n) at most."""

    def __init__(self, clock: Clock, expired: Callable[[T], object]) -> None:
        self._clock = clock
        self._expired = expired
        self._items: dict[int, T] = {}
        # Numbers only: what is discarded is free at once, though its entry stays a while.
        self._heap: list[tuple[float, int]] = []
        self._numbers = count()
        self._timer: Timer | None = None
        self._armed_for = float("inf")

    def add(self, item: T, when: float) -> int:
        """Call back for *item* at *when*, monotonic seconds. Returns the number to discard it by."""
        number = next(self._numbers)
        self._items[number] = item
        heappush(self._heap, (when, number))
        if when < self._armed_for:
            self._arm(when)
        return number

    def discard(self, number: int) -> None:
        """Forget an item. Harmless when its time has come."""
        self._items.pop(number, None)
        if len(self._heap) > 64 + 4 * len(self._items):
            self._heap = [entry for entry in self._heap if entry[1] in self._items]
            heapify(self._heap)

    def stop(self) -> None:
        """Forget everything."""
        self._items.clear()
        self._heap.clear()
        self._arm(float("inf"))

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_for = when
        if when != float("inf"):
            self._timer = self._clock.call_later(max(0.0, when - self._clock.monotonic()), self._ring)

    def _ring(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            item = self._items.pop(heappop(self._heap)[1], None)
            if item is not None:
                self._expired(item)
        self._arm(self._heap[0][0] if self._heap else float("inf"))
