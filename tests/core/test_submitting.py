"""Submitting: from inside and outside, one and many, when the queue is full, unique, delayed, by priority."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from executor_calls import until
from fake_clock import FakeClock

from flowrra import (
    BrokerConfig,
    Config,
    ExecutorConfig,
    Flowrra,
    QueueFullError,
    TaskStatus,
    UnsupportedError,
)
from flowrra.memory import MemoryBroker
from flowrra.message import Enqueued, Message
from flowrra.reports import BrokerCapabilities


def one_worker(clock: FakeClock | None = None, **options: int) -> Flowrra:
    return Flowrra(Config(executor=ExecutorConfig(num_workers=1, **options)), clock=clock)


async def test_what_is_submitted_before_the_start_runs_after_it() -> None:
    app = Flowrra()

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    handles = [await add.submit(n, n) for n in range(100)]
    assert await app.pending_count() == 100
    async with app:
        assert [await handle.result(10) for handle in handles] == [n + n for n in range(100)]
        assert await app.pending_count() == 0


async def test_a_producer_runs_nothing() -> None:
    """``workers=False`` submits and reads, and leaves the work to others."""
    clock = FakeClock()
    app = Flowrra(clock=clock)
    ran: list[int] = []

    @app.task()
    async def note(n: int) -> None:
        ran.append(n)

    await app.start(workers=False)
    assert app.is_running
    handle = await note.submit(1)
    await clock.advance(60)
    assert await handle.status() is TaskStatus.PENDING
    await app.stop()
    assert ran == []
    async with app:
        await handle.result(10)
    assert ran == [1]


@pytest.mark.parametrize("how", ["task", "function", "name"])
async def test_a_task_is_named_in_three_ways(how: str) -> None:
    app = Flowrra()

    async def increment(n: int) -> int:
        return n + 1

    task = app.task()(increment)
    meant = {"task": task, "function": increment, "name": "increment"}[how]
    async with app:
        assert (await app.wait_for_result(await app.submit(meant, 1))).result == 2


async def test_parameters_may_be_called_like_ours() -> None:
    """Only ``priority`` of ``app.submit`` is taken; ``task.submit`` leaves every name to the task."""
    app = Flowrra()

    @app.task()
    async def tell(task: str, self: str, args: str) -> list[str]:
        return [task, self, args]

    @app.task()
    async def rank(priority: int) -> int:
        return priority

    async with app:
        task_id = await app.submit(tell, task="a", self="b", args="c")
        assert (await app.wait_for_result(task_id)).result == ["a", "b", "c"]
        assert await (await rank.submit(priority=9_999)).result() == 9_999


async def test_a_task_is_still_the_plain_function() -> None:
    app = Flowrra()

    @app.task()
    async def plus(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    @app.task()
    def times(a: int, b: int) -> int:
        return a * b

    assert await plus(1) == 2
    assert times(2, b=3) == 6
    assert (plus.__name__, plus.__doc__, repr(times)) == ("plus", "Add.", "<Task 'times' (thread)>")


async def test_many_are_submitted_together_in_order() -> None:
    app = Flowrra()

    @app.task()
    async def square(n: int) -> int:
        return n * n

    async with app:
        handles = await app.submit_many(square.signature(n) for n in range(500))
        assert [await handle.result() for handle in handles] == [n * n for n in range(500)]
    assert await app.submit_many([]) == []


async def test_ids_are_unique_and_sort_by_time() -> None:
    app = Flowrra()

    @app.task()
    async def nothing() -> None: ...

    ids = [handle.id for handle in await app.submit_many(nothing.signature() for _ in range(1000))]
    assert len(set(ids)) == 1000
    assert all(len(task_id) == 32 for task_id in ids)
    assert [task_id[:12] for task_id in ids] == sorted(task_id[:12] for task_id in ids)


async def test_priorities_are_strict_and_first_in_first_out_within() -> None:
    """Random priorities over the whole range; delays that have passed join behind their priority."""
    clock = FakeClock()
    app = one_worker(clock, max_queue_size=10_000)
    order: list[tuple[int, int]] = []

    @app.task()
    async def note(priority: int, number: int) -> None:
        order.append((priority, number))

    dice = random.Random(5)
    for number in range(1_000):
        priority = dice.choice([-512, -1, 0, 0, 1, 511, dice.randint(-512, 511)])
        await note.options(priority=priority).submit(priority, number)
    for number in range(1_000, 1_100):
        priority = dice.randint(-512, 511)
        await note.options(priority=priority, delay=5).submit(priority, number)
    await clock.advance(5)
    async with app:
        await until(lambda: len(order) >= 1_100)
    assert order == sorted(order)


async def test_a_full_lane_of_threads_does_not_hold_back_the_loop() -> None:
    app = one_worker()
    free = asyncio.Event()
    loop = asyncio.get_running_loop()

    @app.task()
    def blocks() -> None:
        asyncio.run_coroutine_threadsafe(free.wait(), loop).result()

    @app.task()
    async def quick() -> str:
        return "done"

    async with app:
        blocked = await app.submit_many(blocks.signature() for _ in range(50))
        assert await (await quick.submit()).result(10) == "done"
        free.set()
        for handle in blocked:
            await handle.result(10)


async def test_queues_are_served_in_turn() -> None:
    """A long queue does not hold up a short one."""
    app = one_worker()
    order: list[str] = []

    @app.task(queue="long")
    async def often(queue: str) -> None:
        order.append(queue)

    @app.task(queue="short")
    async def seldom(queue: str) -> None:
        order.append(queue)

    many = await app.submit_many(often.signature("long") for _ in range(50))
    few = await app.submit_many(seldom.signature("short") for _ in range(5))
    async with app:
        for handle in (*few, *many):
            await handle.result(10)
    assert order.index("short") <= 1
    assert [i for i, queue in enumerate(order) if queue == "short"][-1] <= 10


async def test_a_worker_may_serve_some_queues_only() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    app.queues = ("here",)

    @app.task()
    async def nothing() -> None: ...

    async with app:
        elsewhere = await nothing.submit()
        here = await nothing.options(queue="here").submit()
        await here.result()
        await clock.advance(30)
        assert await elsewhere.status() is TaskStatus.PENDING


async def test_a_queue_that_only_a_submission_names_is_served_once_a_task_names_it() -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)

    @app.task()
    async def nothing() -> None: ...

    handle = await nothing.options(queue="other").submit()
    app.task("other", queue="other")(nothing.function)
    async with app:
        await handle.result()


@pytest.mark.parametrize("how", ["delay", "eta"])
async def test_a_delayed_task_waits_for_its_time(how: str) -> None:
    clock = FakeClock()
    app = Flowrra(clock=clock)
    ran: list[float] = []

    @app.task()
    async def note() -> None:
        ran.append(clock.time())

    async with app:
        start = clock.time()
        eta = datetime.fromtimestamp(start + 90, timezone(timedelta(hours=-5)))
        options = note.options(delay=90) if how == "delay" else note.options(eta=eta)
        handle = await options.submit()
        result = await app.get_result(handle.id)
        assert result is not None
        assert result.status is TaskStatus.SCHEDULED
        assert result.due_at == datetime.fromtimestamp(start + 90, UTC)
        await clock.advance(89.5)
        assert ran == []
        await clock.advance(0.5)
        assert ran == [start + 90]
        await handle.result()


async def test_a_past_eta_means_now() -> None:
    app = Flowrra()

    @app.task()
    async def now() -> str:
        return "now"

    async with app:
        handle = await now.options(eta=datetime(2001, 1, 1, tzinfo=UTC)).submit()
        assert await handle.result(10) == "now"


async def test_what_expires_before_it_starts_is_cancelled_with_the_reason() -> None:
    clock = FakeClock()
    app = one_worker(clock)
    free = asyncio.Event()
    ran: list[str] = []

    @app.task()
    async def occupy() -> None:
        await free.wait()

    @app.task(expires=30)
    async def note(name: str) -> None:
        ran.append(name)

    async with app:
        await occupy.submit()
        late = await note.submit("late")
        soon = await note.options(expires=300).submit("soon")
        await clock.advance(60)
        free.set()
        result = await app.wait_for_result(late.id)
        await soon.result()
    assert ran == ["soon"]
    assert (result.status, result.error) == (TaskStatus.CANCELLED, "expired: not started within 30 s")


async def test_a_retry_is_not_expired() -> None:
    """It was started in time."""
    clock = FakeClock()
    app = Flowrra(clock=clock)
    calls: list[int] = []

    @app.task(expires=5, retry_delay=60)
    async def second_time() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError

    async with app:
        handle = await second_time.submit()
        await clock.advance(60)
        await handle.result()
    assert len(calls) == 2


@pytest.mark.parametrize("kind", ["text", "function"])
async def test_a_unique_key_gives_the_first_ones_id(kind: str) -> None:
    """While it waits, runs or retries; free again at the end."""
    clock = FakeClock()
    app = Flowrra(clock=clock)
    free, failing = asyncio.Event(), [True]

    def make_key(user: int) -> str:
        return f"user-{user}"

    @app.task(unique_key="user-1" if kind == "text" else make_key, retry_delay=10)
    async def refresh(user: int) -> int:
        await free.wait()
        if failing:
            failing.clear()
            raise ValueError("once")
        return user

    first = await refresh.submit(1)
    assert (await refresh.submit(1)).id == first.id
    async with app:
        await clock.settle()
        assert await first.status() is TaskStatus.RUNNING
        assert (await refresh.submit(1)).id == first.id
        free.set()
        await clock.settle()
        assert await first.status() is TaskStatus.RETRYING
        assert (await refresh.submit(1)).id == first.id
        await clock.advance(10)
        assert await first.result() == 1
        again = await refresh.submit(1)
        assert again.id != first.id
        assert await again.result() == 1


async def test_unique_keys_are_per_queue_and_per_argument() -> None:
    app = Flowrra()

    @app.task(unique_key=lambda user, **_: f"user-{user}")
    async def refresh(user: int, force: bool = False) -> None: ...

    first = await refresh.submit(1)
    assert (await refresh.submit(1, force=True)).id == first.id
    assert (await refresh.submit(2)).id != first.id
    assert (await refresh.options(queue="other").submit(1)).id != first.id
    assert (await refresh.options(unique_key="mine").submit(1)).id != first.id


async def test_a_key_is_free_after_a_cancellation_and_a_failure() -> None:
    app = Flowrra()

    @app.task(unique_key="k", max_retries=0)
    async def fail() -> None:
        raise ValueError

    first = await fail.submit()
    assert await first.cancel()
    second = await fail.submit()
    assert second.id != first.id
    async with app:
        await app.wait_for_result(second.id)
        assert (await fail.submit()).id != second.id


async def test_a_full_queue_makes_submit_wait_for_room() -> None:
    """A thousand producers, a queue of ten: never over, and all done."""
    app = Flowrra(Config(executor=ExecutorConfig(max_queue_size=10)))
    most = 0

    @app.task()
    async def square(n: int) -> int:
        nonlocal most
        most = max(most, await app.pending_count())
        return n * n

    async with app:
        handles = await asyncio.gather(*(square.submit(n) for n in range(1_000)))
        assert [await handle.result() for handle in handles] == [n * n for n in range(1_000)]
    assert 0 < most <= 10


async def test_a_queue_that_stays_full_refuses_after_the_timeout_and_drops_nothing() -> None:
    clock = FakeClock()
    config = Config(broker=BrokerConfig(url="memory://", submit_timeout=7, max_queue_size=2))
    app = Flowrra(config, clock=clock)

    @app.task()
    async def nothing() -> None: ...

    await app.start(workers=False)
    await nothing.submit()
    await nothing.options(delay=60).submit()
    third = asyncio.ensure_future(nothing.submit())
    await clock.advance(6.75)
    assert not third.done()
    await clock.advance(0.25)
    with pytest.raises(QueueFullError) as caught:
        await third
    assert str(caught.value) == (
        "queue 'default' is full (2 tasks) and had no room within 7 s; "
        "start more workers, or raise max_queue_size or submit_timeout"
    )
    assert caught.value.accepted == ()
    assert await app.pending_count() == 2
    await app.stop()


async def test_a_batch_that_finds_room_in_part_says_which_found_some() -> None:
    config = Config(broker=BrokerConfig(url="memory://", submit_timeout=0, max_queue_size=3))
    app = Flowrra(config)

    @app.task()
    async def square(n: int) -> int:
        return n * n

    with pytest.raises(QueueFullError, match="3 tasks of the batch were accepted") as caught:
        await app.submit_many(square.signature(n) for n in range(5))
    assert len(caught.value.accepted) == 3
    async with app:
        results = [(await app.wait_for_result(task_id)).result for task_id in caught.value.accepted]
    assert results == [0, 1, 4]


async def test_a_cancelled_submit_leaves_nothing_behind() -> None:
    app = Flowrra(Config(executor=ExecutorConfig(max_queue_size=1)))
    ran: list[int] = []

    @app.task()
    async def note(n: int) -> None:
        ran.append(n)

    await note.submit(0)
    waiting = [asyncio.ensure_future(note.submit(n)) for n in range(1, 100)]
    await asyncio.sleep(0)
    for submit in waiting[:-1]:
        submit.cancel()
    async with app:
        last = await waiting[-1]
        await last.result(10)
        await asyncio.gather(*waiting[:-1], return_exceptions=True)
        while await app.pending_count():  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert sorted(ran) == [0, 99]


class PlainBroker(MemoryBroker):
    """A broker that can do the mandatory part only."""

    @property
    def capabilities(self) -> BrokerCapabilities:
        return BrokerCapabilities(in_process=True)

    @property
    def admin(self) -> None:
        return None

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        assert not any(message.priority or message.unique_key for message in messages)
        return await super().enqueue(messages, wait)


async def test_what_the_broker_cannot_do_is_refused_at_submit() -> None:
    """Nothing is silently ignored."""
    app = Flowrra(broker=PlainBroker())

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(UnsupportedError, match=r"PlainBroker can't order by priority \(asked for 5\)"):
        await app.submit(add, 1, 2, priority=5)
    with pytest.raises(UnsupportedError, match=r"PlainBroker can't keep unique keys \(asked for 'k'\)"):
        await add.options(unique_key="k").submit(1, 2)
    with pytest.raises(UnsupportedError, match="PlainBroker can't count tasks; choose a broker or backend"):
        await app.pending_count()
    with pytest.raises(UnsupportedError, match="PlainBroker can't cancel tasks"):
        await app.cancel("any")
    async with app:
        handle = await add.submit(1, 2)
        assert await handle.status() in {TaskStatus.PENDING, TaskStatus.SUCCESS}
        assert await handle.result(10) == 3
