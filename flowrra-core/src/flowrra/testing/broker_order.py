"""Brokers: which task leaves when."""

from __future__ import annotations

import asyncio
import random

from flowrra.message import Delivery, Verdict
from flowrra.options import PRIORITY_MAX, PRIORITY_MIN
from flowrra.testing.broker_steps import BrokerSteps, ids_of
from flowrra.testing.factories import LANE, QUEUE, make_message


class OrderPromises:
    """Order within a queue and lane, room, and time."""

    async def test_tasks_leave_in_order_of_arrival(self, steps: BrokerSteps) -> None:
        first, second = await steps.put_new(10), await steps.put_new(10)
        assert ids_of(await steps.take(7)) + ids_of(await steps.take()) == first + second

    async def test_the_lower_priority_number_leaves_first(self, steps: BrokerSteps) -> None:
        """A broker that declares priorities orders by them, and by arrival among equals."""
        if not steps.broker.capabilities.priority:
            return
        numbers = [PRIORITY_MAX, 0, PRIORITY_MIN, -1, 1, *random.Random(7).choices(range(-3, 3), k=95)]
        messages = [make_message(priority=number) for number in numbers]
        await steps.put(*messages)
        taken = [delivery for _ in range(5) for delivery in await steps.take(20)]
        assert ids_of(taken) == ids_of(sorted(messages, key=lambda message: message.priority))

    async def test_a_claim_takes_what_there_is_room_for(self, steps: BrokerSteps) -> None:
        ids = await steps.put_new(3)
        assert await steps.take(room={LANE: 0}) == []
        assert ids_of(await steps.take(2)) == ids[:2]
        assert ids_of(await steps.take(2)) == ids[2:]
        assert await steps.take(2) == []

    async def test_a_full_lane_holds_back_no_other(self, steps: BrokerSteps) -> None:
        heavy = await steps.put_new(5, lane="cpu")
        light = await steps.put_new(2, lane="io")
        assert ids_of(await steps.take(room={"io": 5})) == light
        taken = await steps.take(room={"io": 5, "cpu": 2, "thread": 3})
        assert ids_of(taken) == heavy[:2]

    async def test_each_lane_has_its_own_room(self, steps: BrokerSteps) -> None:
        await steps.put_new(5, lane="cpu")
        await steps.put_new(5, lane="io")
        lanes = [delivery.message.lane for delivery in await steps.take(room={"io": 3, "cpu": 2})]
        assert sorted(lanes) == ["cpu"] * 2 + ["io"] * 3

    async def test_queues_are_served_in_turn(self, steps: BrokerSteps) -> None:
        """A long queue starves no other, within a claim and from claim to claim."""
        queues = ["a", "b", "c"]
        for queue in queues:
            await steps.put_new(6, queue=queue)
        within = [delivery.message.queue for delivery in await steps.take(6, queues=queues)]
        assert sorted(within) == ["a", "a", "b", "b", "c", "c"]
        singly = [(await steps.take_one(queues=queues)).message.queue for _ in range(6)]
        assert sorted(singly[:3]) == sorted(singly[3:]) == queues

    async def test_a_queue_is_served_only_to_those_who_name_it(self, steps: BrokerSteps) -> None:
        [elsewhere] = await steps.put_new(1, queue="elsewhere")
        assert await steps.take() == []
        assert ids_of(await steps.take(queues=[QUEUE, "elsewhere"])) == [elsewhere]

    async def test_claims_at_once_never_hand_out_a_task_twice(self, steps: BrokerSteps) -> None:
        ids = await steps.put_new(200)
        claims = await asyncio.gather(*(steps.take(9) for _ in range(30)))
        assert sorted(ids_of(delivery for claim in claims for delivery in claim)) == sorted(ids)

    async def test_a_delivery_says_everything_about_its_task(self, steps: BrokerSteps) -> None:
        message = make_message(
            headers={"traceparent": "00-ü"}, expires=60.0, timeout=1.5, max_retries=7, retry_delay=0.25,
            retry_of="an-earlier-one", schedule="nightly", fire_time=1234.5, body=bytes(range(256)),
        )  # fmt: skip
        await steps.put(message)
        delivery = await steps.take_one()
        assert delivery.message == message
        assert delivery.deliveries == 1
        assert delivery.state == b""
        assert (delivery.receipt.id, delivery.receipt.queue) == (message.id, message.queue)
        assert delivery.submitted_at <= delivery.claimed_at
        assert delivery.expires_at is not None
        assert abs(delivery.expires_at - delivery.submitted_at - 60.0) < 0.01

    async def test_a_delayed_task_leaves_when_it_is_due(self, steps: BrokerSteps) -> None:
        await steps.put_new(1, delay=4 * steps.bench.unit)
        claim = await steps.broker.claim([QUEUE], {LANE: 1}, steps.long, "worker-1")
        assert claim.deliveries == []
        assert claim.wake_in is not None
        assert 0 < claim.wake_in <= 4.01 * steps.bench.unit
        await steps.let_pass(4.5)
        assert len(await steps.take()) == 1

    async def test_a_task_never_leaves_before_its_eta(self, steps: BrokerSteps) -> None:
        """An eta beats a delay; one in the past means now."""
        now, unit = steps.bench.clock.time(), steps.bench.unit
        [past] = await steps.put_new(1, eta=now - 60, delay=1_000 * unit)
        [future] = await steps.put_new(1, eta=now + 4 * unit)
        assert ids_of(await steps.take()) == [past]
        await steps.let_pass(4.5)
        assert ids_of(await steps.take()) == [future]

    async def test_a_due_task_joins_behind_what_came_meanwhile(self, steps: BrokerSteps) -> None:
        [late] = await steps.put_new(1, delay=2 * steps.bench.unit)
        [early] = await steps.put_new(1, delay=steps.bench.unit)
        plain = await steps.put_new(2)
        await steps.let_pass(3)
        assert ids_of(await steps.take()) == [*plain, early, late]

    async def test_a_due_task_keeps_its_priority(self, steps: BrokerSteps) -> None:
        if not steps.broker.capabilities.priority:
            return
        [urgent] = await steps.put_new(1, delay=steps.bench.unit, priority=-1)
        [plain] = await steps.put_new(1)
        await steps.let_pass(1.5)
        assert ids_of(await steps.take()) == [urgent, plain]

    async def test_a_retry_joins_when_it_is_due(self, steps: BrokerSteps) -> None:
        first, second = await steps.put_new(2)
        await steps.end(await steps.take_one(), Verdict.RETRY, delay=2 * steps.bench.unit)
        [third] = await steps.put_new(1)
        assert ids_of(await steps.take(1)) == [second]
        await steps.let_pass(2.5)
        assert ids_of(await steps.take()) == [third, first]

    async def test_a_retry_without_delay_is_ready_at_once(self, steps: BrokerSteps) -> None:
        [task_id] = await steps.put_new(1)
        await steps.end(await steps.take_one(), Verdict.RETRY)
        assert ids_of(await steps.take()) == [task_id]

    async def test_released_and_abandoned_tasks_keep_their_places(self, steps: BrokerSteps) -> None:
        ids = await steps.put_new(4)
        abandoned: list[Delivery] = await steps.take(1, units=1)
        await steps.end(await steps.take_one(), Verdict.RELEASE)
        later = await steps.put_new(1)
        await steps.let_pass(1.5)
        assert ids_of(abandoned) == ids[:1]
        assert ids_of(await steps.take()) == ids + later

    async def test_places_are_kept_whatever_left_out_of_turn(self, steps: BrokerSteps) -> None:
        """A lost task that is settled late leaves from the middle of those who came back."""
        ids = await steps.put_new(4)
        [lost] = await steps.take(1, units=1)
        second, third = await steps.take(2)
        await steps.let_pass(1.5)
        await steps.take(room={"another": 1})
        await steps.end(second, Verdict.RELEASE)
        await steps.end(lost, Verdict.RETRY, delay=steps.bench.unit)
        await steps.let_pass(1.5)
        await steps.take(room={"another": 1})
        await steps.end(third, Verdict.RELEASE)
        assert ids_of(await steps.take()) == [*ids[1:], ids[0]]

    async def test_a_release_with_delay_waits(self, steps: BrokerSteps) -> None:
        [parked] = await steps.put_new(1)
        await steps.end(await steps.take_one(), Verdict.RELEASE, delay=2 * steps.bench.unit)
        assert await steps.take() == []
        await steps.let_pass(2.5)
        assert ids_of(await steps.take()) == [parked]
