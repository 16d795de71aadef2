"""Asks and orders on behalf of an operator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from flowrra.exceptions import UnsupportedError
from flowrra.management.answers import WINDOW, Counted, RunPage, RunPlace, Stats, TaskInfo, WorkerInfo
from flowrra.management.listing import RunListing
from flowrra.message import Place, QueueCounts
from flowrra.registry import AnyTask
from flowrra.reports import RunFilter, TaskStatistics
from flowrra.result import TaskResult
from flowrra.worker.beating import LASTS

if TYPE_CHECKING:
    from flowrra.app import Flowrra
    from flowrra.protocols import QueueAdmin, RunHistory

T = TypeVar("T")

#: Tasks that a purge ends in one step.
PURGED_AT_ONCE: Final = 2_000

EVERYTHING: Final = RunFilter()


class FlowrraManager:
    """Answers an operator's questions about one application, started or not, from any loop.

    What the broker or the backend can't do is an ``UnsupportedError`` that says so.
    """

    def __init__(self, app: Flowrra) -> None:
        self.app: Flowrra = app

    async def stats(self, window: float = WINDOW) -> Stats:
        """Counts of everything; *window* is how many seconds back finished runs are counted."""
        return await self._do(lambda: self._stats(window))

    async def tasks(self) -> list[TaskInfo]:
        """The registered tasks, by name."""
        return await self._do(self._tasks)

    async def runs(
        self,
        where: RunFilter = EVERYTHING,
        *,
        place: RunPlace | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """Up to *limit* runs that match: of one *place*, or all of them, those at work first.

        Args:
            where: What to list. Times are those of finishing, so that they leave out what is unfinished.
            cursor: ``RunPage.next`` of the page before.
        """
        return await self._do(lambda: self._listing.page(where, place, limit, cursor))

    async def run(self, task_id: str) -> TaskResult | None:
        """What is known of one run; None for an id that nobody knows."""
        return await self.app.get_result(task_id)

    async def queues(self) -> list[QueueCounts]:
        """Every queue that holds a task, is paused, or is named by a registered task, by name."""
        return await self._do(self._queues)

    async def workers(self) -> list[WorkerInfo]:
        """Everyone at work, and who was lost within the last hour."""
        return await self._do(self._workers)

    async def dead(self, queue: str | None = None, *, limit: int = 50, cursor: str | None = None) -> RunPage:
        """Runs that Flowrra gave up, newest first within each queue. ``requeue`` runs them again."""
        return await self.runs(RunFilter(queue=queue), place=RunPlace.DEAD, limit=limit, cursor=cursor)

    async def retry(self, task_id: str) -> str:
        """Run a finished task once more under a new id, which is returned. See :meth:`Flowrra.retry`."""
        return await self.app.retry(task_id)

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task; whether it is cancelled now. See :meth:`Flowrra.cancel`."""
        return await self.app.cancel(task_id)

    async def pause(self, queue: str) -> None:
        """Let nobody claim from *queue* until ``resume``; what runs goes on."""
        await self._do(lambda: self._admin("pause queues").pause(queue))

    async def resume(self, queue: str) -> None:
        """Undo ``pause``. Harmless when *queue* isn't paused."""
        await self._do(lambda: self._admin("resume queues").resume(queue))

    async def purge(self, queue: str, places: Sequence[Place] = (Place.READY, Place.DELAYED)) -> int:
        """Empty *places* of *queue*, but never what runs; return how many tasks that were.

        What waited is CANCELLED, so that whoever awaits it hears of it; what was dead is deleted.
        """
        return await self._do(lambda: self._purge(queue, places))

    async def requeue(self, ids: Sequence[str]) -> list[bool]:
        """Run dead tasks again under their ids, their deliveries counted from zero; False for others.

        Needs a backend with a history, which forgets the record of the first life. Without one this is an
        ``UnsupportedError`` and the tasks stay dead; ``retry`` runs them under new ids. Three round trips,
        however many the ids are.
        """
        return await self._do(lambda: self._requeue(ids))

    async def delete(self, ids: Sequence[str]) -> int:
        """Forget finished runs, and return how many of them there were."""
        return await self._do(lambda: self._history("delete runs").delete(ids))

    async def _do(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take *step* on the application's home loop, connected."""

        async def connected() -> T:
            await self.app.engine.connections.open()
            return await step()

        return await self.app.home.call(connected)

    @property
    def _listing(self) -> RunListing:
        return RunListing(self.app.engine.connections)

    def _admin(self, what: str) -> QueueAdmin:
        return self.app.engine.admin(what)

    def _history(self, what: str) -> RunHistory:
        backend = self.app.engine.connections.backend
        if backend.history is None:
            raise UnsupportedError(backend, what)
        return backend.history

    def _now(self) -> float:
        return self.app.clock.time()

    async def _stats(self, window: float) -> Stats:
        connections = self.app.engine.connections
        counts = None if connections.broker.admin is None else await self._queues()
        workers = None if connections.backend.board is None else await self._workers()
        rows = await self._statistics(window)
        return Stats(
            tasks=len(self.app.registry),
            queues=None if counts is None else len(counts),
            ready=None if counts is None else sum(queue.ready for queue in counts),
            delayed=None if counts is None else sum(queue.delayed for queue in counts),
            running=None if counts is None else sum(queue.leased for queue in counts),
            dead=None if counts is None else sum(queue.dead for queue in counts),
            workers=None if workers is None else sum(not worker.lost for worker in workers),
            lost_workers=None if workers is None else sum(worker.lost for worker in workers),
            finished=None if rows is None else Counted.of(rows),
            window=window,
        )

    async def _statistics(self, window: float) -> list[TaskStatistics] | None:
        history = self.app.engine.connections.backend.history
        return None if history is None else await history.statistics(self._now() - window)

    async def _tasks(self) -> list[TaskInfo]:
        rows = await self._statistics(WINDOW)
        named = sorted(self.app.registry, key=lambda task: task.name)
        return [self._describe(task, rows) for task in named]

    def _describe(self, task: AnyTask, rows: Sequence[TaskStatistics] | None) -> TaskInfo:
        defaults = self.app.config.executor
        retry = task.retry.policy(defaults.max_retries, defaults.retry_delay)
        return TaskInfo(
            name=task.name,
            kind=task.kind,
            queue=task.defaults.queue,
            priority=task.defaults.priority,
            timeout=task.defaults.timeout,
            max_retries=retry.max_retries,
            retry_delay=retry.retry_delay,
            path=task.path,
            description=(task.function.__doc__ or "").strip().partition("\n")[0],
            finished=None if rows is None else Counted.of([row for row in rows if row.task == task.name]),
        )

    async def _queues(self) -> list[QueueCounts]:
        counted = {counts.queue: counts for counts in await self._admin("count tasks").counts()}
        named = self.app.registry.queues() if len(self.app.registry) else []
        return [counted.get(name) or QueueCounts(name) for name in sorted({*counted, *named})]

    async def _workers(self) -> list[WorkerInfo]:
        backend = self.app.engine.connections.backend
        if backend.board is None:
            raise UnsupportedError(backend, "list workers")
        alive_since = self._now() - LASTS
        return [WorkerInfo(beat, beat.beat_at < alive_since) for beat in await backend.board.workers()]

    async def _purge(self, queue: str, places: Sequence[Place]) -> int:
        admin = self._admin("purge queues")
        purged = 0
        for place in places:
            if place is Place.DEAD:
                purged += await admin.purge(queue, [place])
                continue
            while entries := (await admin.peek(queue, place, PURGED_AT_ONCE)).entries:
                purged += await self.app.engine.cancel_waiting(
                    [entry.message.id for entry in entries], "purged"
                )
        return purged

    async def _requeue(self, ids: Sequence[str]) -> list[bool]:
        admin, history = self._admin("requeue tasks"), self._history("forget why a task was dead")
        found = await admin.find(ids)
        dead = [entry.message.id for entry in found if entry is not None and entry.place is Place.DEAD]
        if not dead:
            return [False] * len(ids)
        # In this order: the record of the first life would pass for the result of the second.
        await history.delete(dead)
        answers = dict(zip(dead, await admin.requeue(dead), strict=True))
        return [answers.get(task_id, False) for task_id in ids]
