"""The contracts that brokers, backends, executors and scheduler stores fulfil.

They are structural: an implementation never subclasses them. Each has a mandatory part
and optional parts; an implementation that lacks an optional part says ``None`` where the
part would be, and Flowrra says so to whoever asks for it. Everything that costs a round
trip takes and gives batches: one answer for each item, in the order given.

Raise :class:`~flowrra.exceptions.TransientError` for what may pass (the caller retries
with back-off) and :class:`~flowrra.exceptions.PermanentError` for what will not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from flowrra.call import Call
    from flowrra.clock import Clock
    from flowrra.config import BackendConfig, BrokerConfig, ExecutorConfig
    from flowrra.message import (
        Claim,
        Enqueued,
        Entry,
        Holding,
        Message,
        Place,
        QueueCounts,
        Record,
        Renewal,
        Settlement,
    )
    from flowrra.reports import (
        BackendCapabilities,
        BrokerCapabilities,
        Cancellation,
        EntryPage,
        Event,
        Finding,
        RecordPage,
        RunFilter,
        TaskStatistics,
        WorkerBeat,
    )
    from flowrra.schedule import Schedule


class Broker(Protocol):
    """Moves messages from producers to workers, at least once. Knows nothing of functions.

    Every task is in one place: ready, delayed, leased or dead. Within a queue and lane, ready
    tasks leave in order of priority, then of arrival; several queues are served in turn.
    Time is the broker's own: a server's clock, or the ``clock`` its factory was given.
    """

    @property
    def capabilities(self) -> BrokerCapabilities:
        """What this broker can do. Never changes."""
        ...

    @property
    def admin(self) -> QueueAdmin | None:
        """The questions and orders of an operator, or None where the broker can't answer them."""
        ...

    @property
    def diagnostics(self) -> Diagnostics | None:
        """How its server is, or None where there is no server to look at."""
        ...

    async def open(self) -> None:
        """Connect, on the running loop. Called again after ``close``."""
        ...

    async def close(self) -> None:
        """Let go of every connection. Idempotent; queued tasks stay where they are."""
        ...

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        """Accept messages, in order.

        Idempotent by id within a queue, while the task is known and for 24 hours after it finished: the
        same id again is a duplicate and changes nothing. A taken unique key is a duplicate of its holder.
        A tick (``schedule``, ``fire_time``) at or before the schedule's last one is a duplicate.
        A bounded broker waits up to *wait* seconds for room and then answers ``FULL``; a message
        so answered, or whose call was cancelled while it waited, is not enqueued.
        """
        ...

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        """Hand out what is ready, at most ``room[lane]`` tasks per lane, each leased for *lease* seconds.

        On the way, delayed tasks that are due and tasks whose lease has expired become ready
        again (the latter in their old place). Each hand-out raises the task's fence and its
        delivery count. Paused queues give nothing. Returns at once, also with nothing.
        """
        ...

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        """Suspend until something for one of *lanes* may have become claimable since the last claim, at
        most *timeout* seconds.

        A hint: it may return early, a sleep is enough, and cancelling it loses nothing.
        """
        ...

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        """Extend leases and keep progress, where the fence is still current; tell what was cancelled."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries as each settlement says; False for each that is stale and changed nothing.

        A settlement counts while its fence is current, even after the lease expired, as long as
        nobody has claimed the task again. The record in it is the backend's affair.
        """
        ...

    def settler(self, backend: Backend) -> Settler | None:
        """One atomic step for record and settlement, if *backend* is on the same server; else None."""
        ...


class Settler(Protocol):
    """Stores records and settles deliveries as one step, or in the order that loses nothing."""

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """Store and settle; False for each stale settlement: nothing of it was stored."""
        ...


class QueueAdmin(Protocol):
    """Optional part of a broker: looking into queues and steering them."""

    async def find(self, ids: Sequence[str]) -> list[Entry | None]:
        """What is known of each id; None for tasks that are finished or were never here."""
        ...

    async def cancel(self, ids: Sequence[str], lease: float) -> list[Cancellation]:
        """Claim each waiting task for the caller under *lease*; mark each running one, so that its
        next renewal answers ``CANCELLED``. An empty cancellation for what is neither."""
        ...

    async def counts(self, queues: Sequence[str] | None = None) -> list[QueueCounts]:
        """Count the given queues, or every queue that holds a task or is paused."""
        ...

    async def peek(self, queue: str, place: Place, limit: int, cursor: str | None = None) -> EntryPage:
        """Up to *limit* tasks in the order in which they will leave; dead ones newest first."""
        ...

    async def pause(self, queue: str) -> None:
        """Stop claims from *queue* until ``resume``, for every worker. Lasts with the broker."""
        ...

    async def resume(self, queue: str) -> None:
        """Allow claims from *queue* again."""
        ...

    async def purge(self, queue: str, places: Sequence[Place]) -> int:
        """Delete what is in the given places of *queue*, but nothing that is leased; return how many."""
        ...

    async def requeue(self, ids: Sequence[str]) -> list[bool]:
        """Make dead tasks ready again under their ids, deliveries counted from zero; False for others."""
        ...


class Backend(Protocol):
    """Keeps the final records that users may ask for later."""

    @property
    def capabilities(self) -> BackendCapabilities:
        """What this backend is like. Never changes."""
        ...

    @property
    def history(self) -> RunHistory | None:
        """Records by filter and page, or None where the backend can't list them."""
        ...

    @property
    def stream(self) -> EventStream | None:
        """Events to every process, or None."""
        ...

    @property
    def board(self) -> WorkerBoard | None:
        """Who is at work, or None."""
        ...

    @property
    def diagnostics(self) -> Diagnostics | None:
        """How its server is, or None where there is no server to look at."""
        ...

    async def open(self) -> None:
        """Connect, on the running loop. Called again after ``close``."""
        ...

    async def close(self) -> None:
        """Let go of every connection. Idempotent."""
        ...

    async def store(self, records: Sequence[Record]) -> list[bool]:
        """Keep records for ``ttl`` and wake who waits for them; False for each whose fence is older
        than that of the record already kept: it changes nothing."""
        ...

    async def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The record of each id; None where there is none (yet, or any more)."""
        ...

    async def wait(self, task_id: str, timeout: float | None) -> Record | None:
        """Suspend until the record is there and return it; None after *timeout* seconds.

        No wake-up is lost, whether the record comes before, during or after the call.
        """
        ...


class RunHistory(Protocol):
    """Optional part of a backend: finished runs by filter and page, and numbers over time."""

    async def query(self, where: RunFilter, limit: int, cursor: str | None = None) -> RecordPage:
        """Up to *limit* records, newest first; *cursor* is ``RecordPage.next`` of the page before."""
        ...

    async def count(self, where: RunFilter, limit: int) -> int:
        """How many records match, counted up to *limit*."""
        ...

    async def statistics(self, since: float) -> list[TaskStatistics]:
        """One row per task and minute in which a run of it finished, from *since* on, oldest first."""
        ...

    async def delete(self, ids: Sequence[str]) -> int:
        """Forget records; return how many there were."""
        ...


class EventStream(Protocol):
    """Optional part of a backend: events to all processes, at most once, never holding up a task."""

    @property
    def watched(self) -> bool:
        """Whether anybody may be listening; publishers skip the work when not. May lag by some seconds."""
        ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Send events to whoever listens now. A slow listener loses the oldest."""
        ...

    def events(self, kinds: Collection[str] | None = None) -> AsyncIterator[Event]:
        """Events from now on, of the given *kinds* or of every kind, until the iterator is closed.

        Whoever asks for ``cancel`` alone is a worker that takes orders, and doesn't count as watching.
        """
        ...


class WorkerBoard(Protocol):
    """Optional part of a backend: who is at work."""

    async def beat(self, worker: WorkerBeat, ttl: float) -> None:
        """Show *worker* as alive for *ttl* seconds; then it counts as lost for an hour, then it is gone."""
        ...

    async def leave(self, name: str) -> None:
        """Take a worker that ended properly off the board."""
        ...

    async def workers(self) -> list[WorkerBeat]:
        """Everyone on the board, lost ones included; ``beat_at`` tells them apart."""
        ...


class Diagnostics(Protocol):
    """Optional part of a broker or a backend: what there is to know of the server behind it."""

    async def findings(self) -> Sequence[Finding]:
        """Look now. What can't be found out is a finding too; only a server that can't be reached raises."""
        ...


class Executor(Protocol):
    """Runs calls of one kind; knows nothing of queues. Used from one loop only."""

    @property
    def slots(self) -> int:
        """How many calls it runs at once."""
        ...

    def room(self) -> int:
        """How many more calls it can start now."""
        ...

    def pending_count(self) -> int:
        """Calls handed over and unfinished, those included that were given up but still occupy their slot."""
        ...

    def check(self, function: Callable[..., Any]) -> None:
        """Raise TypeError, saying why, if *function* can't run here."""
        ...

    async def start(self) -> None:
        """Get ready to execute. Called once per ``stop``."""
        ...

    async def stop(self, grace: float) -> None:
        """End everything that it started; what runs after *grace* seconds is killed where possible."""
        ...

    async def execute(self, call: Call) -> object:
        """Run one call and return its value, an :class:`~flowrra.call.EncodedValue` if it is encoded already.

        Raises what the task raised, or :class:`~flowrra.exceptions.ExecutorCrashedError` if what
        ran it died. More calls than there is room for wait their turn. Cancelling the await
        cancels the call as far as that is possible.
        """
        ...


class SchedulerStore(Protocol):
    """Keeps schedules, and decides with its own clock which are due."""

    async def open(self) -> None:
        """Connect and bring the tables up to date."""
        ...

    async def close(self) -> None:
        """Let go of every connection. Idempotent."""
        ...

    async def put(self, schedule: Schedule) -> Schedule:
        """Insert or update by id and return what is stored; ``enabled``, and the next run of an
        unchanged definition, stay as they are."""
        ...

    async def get(self, schedule_id: str) -> Schedule | None:
        """One schedule."""
        ...

    async def list(self, limit: int, cursor: str | None = None) -> tuple[Sequence[Schedule], str | None]:
        """Schedules in order of id, and the next page's cursor."""
        ...

    async def remove(self, schedule_id: str) -> bool:
        """Forget a schedule; whether there was one."""
        ...

    async def enable(self, schedule_id: str, enabled: bool, next_run: float | None) -> bool:
        """Switch a schedule on or off; whether there is one."""
        ...

    async def due(self, limit: int) -> tuple[float, Sequence[Schedule]]:
        """The store's time now, and up to *limit* enabled schedules that are due by it, oldest first."""
        ...

    async def advance(self, before: Schedule, after: Schedule) -> bool:
        """Replace *before* by *after* if its version is unchanged: True for the one replica that won."""
        ...

    async def next_due(self) -> float | None:
        """Seconds until the next enabled schedule is due."""
        ...

    async def changes(self, timeout: float) -> None:
        """Suspend until a schedule may have changed, at most *timeout* seconds."""
        ...


class Scheduler(Protocol):
    """What ``app.create_scheduler`` returns: submits tasks when their schedules are due."""

    async def start(self) -> None:
        """Begin firing. Harmless when started."""
        ...

    async def stop(self) -> None:
        """Stop firing and close the store. Harmless when stopped."""
        ...


BrokerFactory: TypeAlias = "Callable[[BrokerConfig, Clock], Broker]"
BackendFactory: TypeAlias = "Callable[[BackendConfig, Clock], Backend]"
ExecutorFactory: TypeAlias = "Callable[[ExecutorConfig], Executor]"
SchedulerStoreFactory: TypeAlias = "Callable[[str], SchedulerStore]"
