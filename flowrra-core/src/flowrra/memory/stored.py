"""One task in a memory broker, and the line in which it waits for its turn."""

from __future__ import annotations

from bisect import insort
from collections import deque

from flowrra.message import Entry, Message, Place


class StoredTask:
    """One task and its place."""

    # Class attributes hold what a fresh task starts with: most tasks never change most of it.
    place: Place = Place.READY
    fence: int = 0
    deliveries: int = 0
    due: float | None = None
    #: Whether it only keeps a place in the line that the task has left.
    ghost: bool = False
    lease: float = 0.0
    lease_until: float = 0.0
    claimed_at: float | None = None
    worker: str | None = None
    state: bytes = b""
    progress: bytes | None = None
    reason: str | None = None
    cancelled: bool = False

    def __init__(self, message: Message, sequence: int, now: float) -> None:
        self.message: Message = message
        #: Its number in the order of arrival, among those of its priority.
        self.sequence: int = sequence
        self.submitted_at: float = now
        self.expires_at: float | None = None if message.expires is None else now + message.expires

    def entry(self) -> Entry:
        """What others may know of it."""
        return Entry(
            self.message, self.place, self.fence, self.submitted_at, self.deliveries, self.due,
            self.claimed_at, self.worker, self.state, self.progress, self.reason,
        )  # fmt: skip


class ReadyLine:
    """The ready tasks of one queue and lane: by priority, then by arrival.

    A task that leaves out of turn leaves a ghost in the line, which is dropped when its turn comes.
    """

    __slots__ = ("_priorities", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[int, deque[StoredTask]] = {}
        #: The priorities in use, lowest first.
        self._priorities: list[int] = []

    def append(self, task: StoredTask) -> None:
        """Put a task behind those of its priority."""
        priority = task.message.priority
        tasks = self._tasks.get(priority)
        if tasks is None:
            tasks = self._tasks[priority] = deque()
            insort(self._priorities, priority)
        tasks.append(task)

    def restore(self, task: StoredTask) -> None:
        """Put a task back where it was; it is near the front, so the way is short."""
        tasks = self._tasks.get(task.message.priority)
        for index, other in enumerate(tasks or ()):
            if tasks is not None and other.sequence > task.sequence:
                tasks.insert(index, task)
                return
        self.append(task)

    def pop(self, most: int) -> list[StoredTask]:
        """Remove and return the first *most* tasks."""
        taken: list[StoredTask] = []
        while self._priorities and len(taken) < most:
            tasks = self._tasks[self._priorities[0]]
            while tasks and len(taken) < most:
                task = tasks.popleft()
                if not task.ghost:
                    taken.append(task)
            if not tasks:
                del self._tasks[self._priorities.pop(0)]
        return taken
