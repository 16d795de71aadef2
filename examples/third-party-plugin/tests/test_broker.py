"""The promises of a broker, one by one, under a clock that only moves when told to."""

from collections.abc import Callable
from typing import Any

import pytest
from flowrra_toy.broker import ToyBroker

from flowrra.config import BrokerConfig
from flowrra.exceptions import ConfigError
from flowrra.message import Acceptance, Claim, Delivery, Holding, Message, Renewal, Settlement, Verdict


class Clock:
    """Time by hand. ``claim`` and its kin never wait, so no timer is needed."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:
        raise NotImplementedError


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> ToyBroker:
    return ToyBroker(BrokerConfig(url="toy://"), clock)


def message(id: str, queue: str = "default", lane: str = "io", **options: Any) -> Message:
    return Message(id, "task", queue, lane, 0, b"", {}, **options)


async def claim(broker: ToyBroker, *queues: str, **room: int) -> Claim:
    return await broker.claim(queues or ("default",), room or {"io": 10}, 30.0, "worker")


async def take(broker: ToyBroker, *queues: str, **room: int) -> list[Delivery]:
    return (await claim(broker, *queues, **room)).deliveries


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message.id for delivery in deliveries]


async def test_tasks_leave_in_the_order_in_which_they_came(broker: ToyBroker) -> None:
    await broker.enqueue([message("a"), message("b")], 0)
    await broker.enqueue([message("c")], 0)

    assert ids(await take(broker)) == ["a", "b", "c"]
    assert ids(await take(broker)) == []


async def test_nothing_is_handed_out_beyond_the_room_of_a_lane(broker: ToyBroker) -> None:
    await broker.enqueue([message(id, lane=lane) for id, lane in [("a", "io"), ("b", "cpu"), ("c", "io")]], 0)

    assert ids(await take(broker, io=1, cpu=0)) == ["a"]
    assert ids(await take(broker, io=5, cpu=5)) == ["c", "b"]


async def test_queues_are_served_in_turn(broker: ToyBroker) -> None:
    await broker.enqueue([message(f"{queue}{number}", queue) for queue in "xy" for number in "123"], 0)

    assert ids(await take(broker, "x", "y", io=4)) == ["x1", "y1", "x2", "y2"]
    assert ids([*await take(broker, "x", "y", io=1), *await take(broker, "x", "y", io=1)]) == ["x3", "y3"]


async def test_an_id_is_accepted_once_a_day(broker: ToyBroker, clock: Clock) -> None:
    async def enqueue() -> Acceptance:
        return (await broker.enqueue([message("a")], 0))[0].acceptance

    assert await enqueue() is Acceptance.ACCEPTED
    assert await enqueue() is Acceptance.DUPLICATE
    [delivery] = await take(broker)
    await broker.settle([Settlement(delivery.receipt, Verdict.DONE)])
    assert await enqueue() is Acceptance.DUPLICATE
    clock.now += 24 * 3600
    assert await enqueue() is Acceptance.ACCEPTED


async def test_a_schedules_tick_is_accepted_once_and_in_order(broker: ToyBroker) -> None:
    ticks = [message(f"t{time}", schedule="s", fire_time=time) for time in (60.0, 120.0, 60.0, 120.0)]

    answers = await broker.enqueue([tick._replace(id=f"{n}") for n, tick in enumerate(ticks)], 0)

    assert [answer.acceptance.value for answer in answers] == ["accepted"] * 2 + ["duplicate"] * 2


async def test_a_delayed_task_joins_the_line_when_it_is_due(broker: ToyBroker, clock: Clock) -> None:
    await broker.enqueue([message("later", delay=5.0), message("past", eta=1.0)], 0)

    assert ids((first := await claim(broker)).deliveries) == ["past"]
    assert first.wake_in == 5
    clock.now += 5
    assert ids(await take(broker)) == ["later"]


async def test_a_lease_that_ends_brings_the_task_back_to_its_old_place(
    broker: ToyBroker, clock: Clock
) -> None:
    await broker.enqueue([message("a"), message("b")], 0)
    [lost] = await take(broker, io=1)

    clock.now += 30

    again, _ = await take(broker)
    assert (again.message.id, again.deliveries) == ("a", 2)
    assert again.receipt.fence > lost.receipt.fence


async def test_a_late_worker_may_finish_until_somebody_else_has_the_task(
    broker: ToyBroker, clock: Clock
) -> None:
    await broker.enqueue([message("a"), message("b")], 0)
    a, b = await take(broker)
    clock.now += 31

    assert await broker.settle([Settlement(a.receipt, Verdict.DONE)]) == [True]
    assert ids(await take(broker)) == ["b"]
    assert await broker.renew([Renewal(a.receipt), Renewal(b.receipt)], 30) == [Holding.LOST] * 2
    assert await broker.settle([Settlement(b.receipt, Verdict.DONE)]) == [False]


async def test_a_renewed_lease_holds(broker: ToyBroker, clock: Clock) -> None:
    await broker.enqueue([message("a")], 0)
    [delivery] = await take(broker)

    for _ in range(3):
        clock.now += 29
        assert await broker.renew([Renewal(delivery.receipt)], 30.0) == [Holding.HELD]
        assert await take(broker) == []


async def test_a_retry_waits_and_carries_its_state(broker: ToyBroker, clock: Clock) -> None:
    await broker.enqueue([message("a")], 0)
    [delivery] = await take(broker)
    retry = Settlement(delivery.receipt, Verdict.RETRY, delay=2.0, state=b"1 attempt")

    assert await broker.settle([retry, retry]) == [True, False]
    assert await take(broker) == []
    clock.now += 2
    [again] = await take(broker)
    assert (again.state, again.deliveries) == (b"1 attempt", 1)


async def test_a_release_keeps_its_place_and_says_whether_it_counts(broker: ToyBroker) -> None:
    await broker.enqueue([message("a"), message("b")], 0)
    [first] = await take(broker, io=1)
    await broker.settle([Settlement(first.receipt, Verdict.RELEASE)])
    [second] = await take(broker, io=1)
    await broker.settle([Settlement(second.receipt, Verdict.RELEASE, counted=True)])

    third, _ = await take(broker)

    assert [each.message.id for each in (first, second, third)] == ["a"] * 3
    assert [each.deliveries for each in (first, second, third)] == [1, 1, 2]


def test_a_bound_is_refused_instead_of_ignored(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="leave max_queue_size out"):
        ToyBroker(BrokerConfig(url="toy://", max_queue_size=5), clock)
