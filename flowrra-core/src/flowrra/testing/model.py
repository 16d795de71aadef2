"""A Hypothesis state machine that compares a broker with a model of it, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flowrra.config import BrokerConfig
from flowrra.message import Holding, Message, Place, Receipt, Renewal, Settlement, Verdict
from flowrra.protocols import QueueAdmin
from flowrra.testing.broker_steps import BrokerBench
from flowrra.testing.factories import make_message
from flowrra.testing.model_state import Expected, ExpectedBroker

T = TypeVar("T")

QUEUES: Final = ("a", "b")
LANES: Final = ("io", "cpu")

#: The bound of the broker under test.
LIMIT: Final = 6

#: Seconds that pass with every step, so that no two tasks are due at the same moment.
TICK: Final = 1 / 1024

_numbers = st.integers(0, 99)
_delays = st.sampled_from([0.0, 0.0, 4.0, 9.0])
_rooms = st.dictionaries(st.sampled_from(LANES), st.integers(0, 4), min_size=1)
_leases = st.sampled_from([5.0, 20.0])


class BrokerModel(RuleBasedStateMachine):
    """Any sequence of steps leaves every task in exactly one place, and it is the right one.

    A subclass says ``bench``: a bench with a broker that has an admin part, priorities and unique keys,
    whose time ``bench.let_pass`` moves without sleeping. Run it with
    ``hypothesis.stateful.run_state_machine_as_test``.
    """

    #: Whether the bound counts for each queue alone, and not for all queues together.
    bounds_each_queue: bool = False

    def bench(self) -> BrokerBench:
        """A bench whose broker is empty."""
        raise NotImplementedError(f"{type(self).__name__} needs a method bench that returns a BrokerBench")

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._bench = self.bench()
        self._broker = self._bench.make(BrokerConfig(url="memory://", max_queue_size=LIMIT))
        self._run(self._broker.open())
        self._expected = ExpectedBroker(LIMIT, self.bounds_each_queue)
        self._receipts: list[Receipt] = []
        self._ids: list[str] = []
        self._queues: dict[str, str] = {}

    def teardown(self) -> None:
        """Close."""
        self._run(self._broker.close())
        self._loop.close()

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(step)

    @property
    def _admin(self) -> QueueAdmin:
        assert self._broker.admin is not None
        return self._broker.admin

    @property
    def _now(self) -> float:
        return self._bench.clock.time()

    def _pass(self, seconds: float = TICK) -> None:
        self._run(self._bench.let_pass(seconds / self._bench.unit))

    def _put(self, message: Message) -> None:
        self._pass()
        answers = self._run(self._broker.enqueue([message], 0.0))
        assert answers == [self._expected.enqueue(message, self._now)], "a wrong answer to enqueue"
        if message.id not in self._ids:
            self._ids.append(message.id)
            self._queues[message.id] = message.queue

    @rule(
        queue=st.sampled_from(QUEUES),
        lane=st.sampled_from(LANES),
        priority=st.sampled_from([0, 0, 0, -1, 5]),
        delay=_delays,
        unique_key=st.sampled_from([None, None, "key"]),
    )
    def enqueue(self, **fields: Any) -> None:
        """A new task."""
        self._put(make_message(**fields))

    @precondition(lambda self: self._ids)
    @rule(number=_numbers)
    def enqueue_again(self, number: int) -> None:
        """An id that was used before, whatever became of it."""
        task_id = self._ids[number % len(self._ids)]
        self._put(make_message(task_id, queue=self._queues[task_id]))

    @rule(fire_time=st.integers(1, 5))
    def enqueue_tick(self, fire_time: int) -> None:
        """A tick of a schedule."""
        self._put(make_message(queue=QUEUES[0], schedule="nightly", fire_time=float(fire_time)))

    @rule(room=_rooms, lease=_leases)
    def claim(self, room: dict[str, int], lease: float) -> None:
        """A worker asks for tasks."""
        self._pass()
        claim = self._run(self._broker.claim(QUEUES, room, lease, "worker-1"))
        self._expected.tidy(self._now)
        self._expected.check_claim(QUEUES, room, claim.deliveries)
        for delivery in claim.deliveries:
            self._expected.hand_out(delivery, self._now + lease)
            self._receipts.append(delivery.receipt)

    def _receipt(self, number: int) -> Receipt:
        """One of the newest receipts; they are worth most."""
        return self._receipts[-1 - number % min(len(self._receipts), 12)]

    @precondition(lambda self: self._receipts)
    @rule(number=_numbers, lease=_leases, progress=st.sampled_from([None, b"half"]))
    def renew(self, number: int, lease: float, progress: bytes | None) -> None:
        """A worker holds on to a task, perhaps one that it has lost."""
        self._pass()
        receipt = self._receipt(number)
        task = self._expected.holding(receipt)
        if task is not None and task.place is Place.LEASED and task.lease_until <= self._now:
            return  # over, and nobody has noticed yet: the contract leaves it open
        [holding] = self._run(self._broker.renew([Renewal(receipt, progress)], lease))
        if task is None or task.place is not Place.LEASED:
            assert holding is Holding.LOST, "a lost lease was renewed"
            return
        assert holding is (Holding.CANCELLED if task.cancelled else Holding.HELD), "a wrong answer to renew"
        task.lease_until = self._now + lease
        task.progress = progress or task.progress

    @precondition(lambda self: self._receipts)
    @rule(number=_numbers, delay=_delays, verdict=st.sampled_from(Verdict), counted=st.booleans())
    def settle(self, number: int, delay: float, verdict: Verdict, counted: bool) -> None:
        """A worker ends a delivery, perhaps one that it has lost."""
        self._pass()
        if verdict is Verdict.RETRY:
            delay, counted = delay or 2.0, False
        state = b"past-%d" % number
        settlement = Settlement(self._receipt(number), verdict, None, delay, state, counted, "a reason")
        [settled] = self._run(self._broker.settle([settlement]))
        assert settled is self._expected.settle(settlement, self._now), "a wrong answer to settle"

    @precondition(lambda self: self._ids)
    @rule(number=_numbers, lease=_leases)
    def cancel(self, number: int, lease: float) -> None:
        """Somebody cancels a task."""
        self._pass()
        task_id = self._ids[number % len(self._ids)]
        [cancellation] = self._run(self._admin.cancel([task_id], lease))
        task = self._expected.tasks.get(task_id)
        running = task is not None and task.place is Place.LEASED and task.lease_until > self._now
        waits = task is not None and task.place is not Place.DEAD and not running
        assert (cancellation.running, cancellation.delivery is not None) == (running, waits)
        if task is not None and running:
            task.cancelled = True
        if cancellation.delivery is not None:
            self._expected.hand_out(cancellation.delivery, self._now + lease)
            self._receipts.append(cancellation.delivery.receipt)

    @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
    def pause_or_resume(self, queue: str, paused: bool) -> None:
        """Somebody stops or starts a queue."""
        if paused:
            self._run(self._admin.pause(queue))
            self._expected.paused.add(queue)
        else:
            self._run(self._admin.resume(queue))
            self._expected.paused.discard(queue)

    @rule(queue=st.sampled_from(QUEUES), place=st.sampled_from(Place))
    def purge(self, queue: str, place: Place) -> None:
        """Somebody deletes what waits or is dead."""
        doomed = self._expected.those(lambda task: (task.message.queue, task.place) == (queue, place))
        if place is Place.LEASED:
            doomed = []
        assert self._run(self._admin.purge(queue, [place])) == len(doomed), "a wrong answer to purge"
        for task in doomed:
            self._expected.finish(task)

    def _requeueable(self, task_id: str) -> Expected | None:
        task = self._expected.tasks.get(task_id)
        return task if task is not None and task.place is Place.DEAD else None

    @precondition(lambda self: self._ids)
    @rule(number=_numbers)
    def requeue(self, number: int) -> None:
        """Somebody gives a task, dead or not, another chance."""
        task_id = self._ids[number % len(self._ids)]
        task = self._requeueable(task_id)
        if task is not None and self._expected.holder(task.message.queue, task.message.unique_key):
            return  # its unique key has another holder: the contract leaves it open
        assert self._run(self._admin.requeue([task_id])) == [task is not None], "a wrong answer to requeue"
        if task is not None:
            self._expected.revive(task)

    @rule(seconds=st.sampled_from([1.0, 4.0, 6.0, 25.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._pass(seconds)

    @invariant()
    def every_task_is_in_its_place(self) -> None:
        """Known if it should be, and as it should be."""
        for task_id, entry in zip(self._ids, self._run(self._admin.find(self._ids)), strict=True):
            task = self._expected.tasks.get(task_id)
            if task is None or entry is None:
                assert task is None, f"task {task_id} is lost"
                assert entry is None, f"task {task_id} came back"
                continue
            assert (entry.message, entry.place) == (task.message, task.place), "in a wrong place"
            assert (entry.deliveries, entry.state) == (task.deliveries, task.state)
            assert task.place is not Place.LEASED or entry.progress == task.progress
            assert task.receipt is None or entry.fence == task.receipt.fence

    @invariant()
    def the_counts_are_right(self) -> None:
        """And so nothing is in two places."""
        expected = self._expected.counts()
        for counts in self._run(self._admin.counts(QUEUES)):
            shown = (counts.ready, counts.delayed, counts.leased, counts.dead)
            assert shown == tuple(expected[counts.queue, place] for place in Place), "miscounted"
            assert counts.paused is (counts.queue in self._expected.paused)
