"""Memory brokers with one bug each, for the tests of the broker model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from flowrra.memory import MemoryBroker
from flowrra.memory.admin import MemoryAdmin
from flowrra.memory.stored import ReadyLine, StoredTask
from flowrra.memory.table import TaskTable
from flowrra.message import Delivery, Holding, Message, Place, Receipt, Renewal

ALL: list[type[MemoryBroker]] = []


def planted(bug: Callable[[TaskTable], None] | type[TaskTable]) -> Any:
    """A broker whose table has a bug: a class of its own, or one made by changing a table."""

    class Mutant(MemoryBroker):
        def reset(self) -> None:
            super().reset()
            if isinstance(bug, type):
                self._table = bug()
            else:
                bug(self._table)
            self._admin = MemoryAdmin(self._table, self._clock, self.wake)

    Mutant.__name__ = bug.__name__
    ALL.append(Mutant)
    return bug


@planted
class FenceUnchecked(TaskTable):
    def current(self, receipt: Receipt) -> StoredTask | None:
        task = self.tasks.get(receipt.id)
        return task if task is not None and task.place is not Place.DEAD else None


class RenewalUnfenced(MemoryBroker):
    def _renew(self, renewal: Renewal, lease: float, monotonic: float) -> Holding:
        task = self._table.tasks.get(renewal.receipt.id)
        if task is None or task.place is not Place.LEASED:
            return Holding.LOST
        self._table.renew(task, lease, monotonic)
        return Holding.CANCELLED if task.cancelled else Holding.HELD


ALL.append(RenewalUnfenced)


@planted
class DeliveriesForgotten(TaskTable):
    def lease(self, tasks: Any, *args: Any) -> list[Delivery]:
        for task in tasks:
            task.deliveries = 0
        return super().lease(tasks, *args)


@planted
class SettledDeliveriesCounted(TaskTable):
    def put_back(self, task: StoredTask, counted: bool, due: float | None) -> None:
        super().put_back(task, True, due)


@planted
def last_in_first_out(table: TaskTable) -> None:
    class Line(ReadyLine):
        __slots__ = ()

        def append(self, task: StoredTask) -> None:
            super().append(task)
            self._tasks[task.message.priority].rotate(1)

    table._ready.default_factory = Line


@planted
def priority_ignored(table: TaskTable) -> None:
    class Line(ReadyLine):
        __slots__ = ()

        def append(self, task: StoredTask) -> None:
            super().append(task)
            self._priorities.sort(reverse=True)

    table._ready.default_factory = Line


@planted
class LeaseKept(TaskTable):
    def withdraw(self, task: StoredTask) -> StoredTask:
        leased = self._leased[task.lease].get(task.message.id)
        withdrawn = super().withdraw(task)
        if leased is not None:
            self._leased[task.lease][task.message.id] = leased
        return withdrawn


@planted
class ReleaseLosesPlace(TaskTable):
    def put_back(self, task: StoredTask, counted: bool, due: float | None) -> None:
        task.sequence = next(self._sequence)
        super().put_back(task, counted, due)


@planted
class ExpiryLosesPlace(TaskTable):
    def _restore(self, task: StoredTask) -> None:
        if task.place is Place.LEASED and task.message.id in self.tasks:
            task.sequence = next(self._sequence)
        super()._restore(task)


@planted
class PlaceOfGhostUsed(TaskTable):
    """Withdrawn tasks keep standing in the line."""

    def withdraw(self, task: StoredTask) -> StoredTask:
        withdrawn = super().withdraw(task)
        task.ghost = False
        return withdrawn


@planted
class UniqueKeyKept(TaskTable):
    def _free_key(self, message: Message) -> None: ...


@planted
class UniqueKeyFreedByTheDeadOnly(TaskTable):
    def finish(self, task: StoredTask, until: float) -> None:
        keys = dict(self._unique)
        super().finish(task, until)
        self._unique.update(keys)


@planted
class DueIgnored(TaskTable):
    def _delay(self, task: StoredTask, due: float) -> None:
        self._join(task)


@planted
class DueTooEarly(TaskTable):
    def promote(self, now: float) -> float | None:
        return super().promote(now + 3.0)


@planted
class DoneForgotten(TaskTable):
    def finish(self, task: StoredTask, until: float) -> None:
        super().finish(task, until)
        self._finished.clear()


@planted
class TicksForgotten(TaskTable):
    def finish(self, task: StoredTask, until: float) -> None:
        super().finish(task, until)
        self._ticks.clear()


@planted
class DelayedUnbounded(TaskTable):
    def _delay(self, task: StoredTask, due: float) -> None:
        super()._delay(task, due)
        self.waiting -= 1


@planted
class DeadReceiptSurvives(TaskTable):
    """What buried a task may settle it again after it is requeued."""

    def revive(self, task: StoredTask) -> None:
        super().revive(task)
        task.fence -= 1


@planted
class PauseIgnored(TaskTable):
    def take(self, *args: Any) -> list[StoredTask]:
        paused, self.paused = self.paused, set()
        try:
            return super().take(*args)
        finally:
            self.paused = paused


@planted
class OneQueueStarves(TaskTable):
    def take(self, queues: Any, lane: str, most: int) -> list[StoredTask]:
        taken = [task for queue in queues for task in super(OneQueueStarves, self).take([queue], lane, most)]
        for task in taken[most:]:
            self._restore(task)
        return taken[:most]


@planted
class CancelForgotten(TaskTable):
    def renew(self, task: StoredTask, lease: float, monotonic: float) -> None:
        super().renew(task, lease, monotonic)
        task.cancelled = False


@planted
class LeaseNeverEnds(TaskTable):
    def reap(self, monotonic: float) -> float | None:
        return None


@planted
class RequeueKeepsDeliveries(TaskTable):
    def revive(self, task: StoredTask) -> None:
        deliveries = task.deliveries
        super().revive(task)
        task.deliveries = deliveries


#: Makes sequence numbers that fall: what is newer overtakes what is put back.
@planted
def sequence_falls(table: TaskTable) -> None:
    table._sequence = count(1_000_000, -1)
