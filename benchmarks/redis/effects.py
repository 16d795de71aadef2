"""What the tasks did, in memory that every process of a measurement shares.

The tasks of a measurement are numbered. Each notes when it began, and counts its end, without a
round trip to anything: so a task that is lost or that ran twice shows, whatever its library says.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from time import monotonic

#: How many tasks one measurement may have. A multiple of 8, so that the times are aligned.
ROOM = 131_072


class Effects:
    """A byte per task for how often it ended, and a float for when it began."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 9 * ROOM)
        self._ends = memoryview(self._map)[:ROOM]
        self._times = memoryview(self._map)[ROOM:].cast("d")

    @classmethod
    def create(cls, path: Path) -> Effects:
        """Make the file, all zero."""
        with path.open("wb") as file:
            file.truncate(9 * ROOM)
        return cls(path)

    def clear(self) -> None:
        """Forget everything."""
        self._map[:] = bytes(9 * ROOM)

    def begin(self, number: int) -> None:
        """A task begins: seconds of the system-wide monotonic clock."""
        self._times[number] = monotonic()

    def end(self, number: int) -> None:
        """A task ends."""
        self._ends[number] += 1

    def ended(self, tasks: int) -> int:
        """How many of the first *tasks* ended at least once."""
        return tasks - self._map[:tasks].count(0)

    def repeated(self, tasks: int) -> int:
        """How many of the first *tasks* ended more than once."""
        return tasks - self._map[:tasks].count(0) - self._map[:tasks].count(1)

    def first_began(self, tasks: int) -> float:
        """When the first of *tasks* began."""
        return min(self._times[:tasks])

    def latest(self, tasks: int, count: int) -> list[int]:
        """The numbers of the *count* tasks that began last, the last one first."""
        return sorted(range(tasks), key=self._times.__getitem__, reverse=True)[:count]
