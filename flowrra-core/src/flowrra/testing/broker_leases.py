"""Brokers: leases, fences, and how a delivery ends."""

from __future__ import annotations

import asyncio

from flowrra.message import Holding, Receipt, Renewal, Settlement, Verdict
from flowrra.testing.broker_steps import BrokerSteps, ids_of
from flowrra.testing.factories import LANE, QUEUE, make_message


class LeasePromises:
    """At least once, and only one holder at a time."""

    async def test_an_abandoned_task_is_handed_out_again(self, steps: BrokerSteps) -> None:
        [task_id] = await steps.put_new(1)
        first = await steps.take_one(units=2)
        assert await steps.take() == []
        await steps.let_pass(2.5)
        second = await steps.take_one()
        assert second.message.id == task_id
        assert second.deliveries == 2
        assert second.receipt.fence > first.receipt.fence
        assert second.submitted_at == first.submitted_at

    async def test_a_claim_says_when_a_lease_may_end(self, steps: BrokerSteps) -> None:
        await steps.put_new(1)
        await steps.take(units=4)
        claim = await steps.broker.claim([QUEUE], {"io": 1}, steps.long, "worker-2")
        assert claim.wake_in is not None
        assert 0 < claim.wake_in <= 4.01 * steps.bench.unit

    async def test_a_renewed_lease_holds(self, steps: BrokerSteps) -> None:
        await steps.put_new(1)
        delivery = await steps.take_one(units=2)
        for _ in range(3):
            await steps.let_pass(1)
            assert await steps.renew(delivery.receipt, units=2) is Holding.HELD
        assert await steps.take() == []
        await steps.let_pass(2.5)
        assert len(await steps.take()) == 1

    async def test_a_stale_receipt_moves_nothing(self, steps: BrokerSteps) -> None:
        """Whatever it asks for, the newer delivery stays as it is and may be settled."""
        await steps.put_new(1)
        stale = await steps.take_one(units=1)
        await steps.let_pass(1.5)
        current = await steps.take_one(units=4)
        for verdict in Verdict:
            assert not await steps.settle(stale, verdict, delay=0.0, state=b"stale", reason="stale")
        assert await steps.renew(stale.receipt, progress=b"stale") is Holding.LOST
        assert await steps.take() == []
        await steps.let_pass(4.5)
        again = await steps.take_one()
        assert (again.deliveries, again.state) == (3, b"")
        assert not await steps.settle(current)
        await steps.end(again)

    async def test_a_late_settlement_counts_until_the_task_is_claimed_again(self, steps: BrokerSteps) -> None:
        """Also once somebody's claim has noticed that the lease is over."""
        await steps.put_new(2)
        one, two = await steps.take(units=1)
        await steps.let_pass(1.5)
        await steps.end(one, Verdict.DONE)
        await steps.take(room={"another": 1})
        await steps.end(two, Verdict.DONE)
        assert await steps.take() == []

    async def test_a_delivery_is_settled_once(self, steps: BrokerSteps) -> None:
        for verdict in Verdict:
            await steps.put_new(1)
            delivery = await steps.take_one()
            await steps.end(delivery, verdict)
            assert not await steps.settle(delivery)
            assert await steps.renew(delivery.receipt) is Holding.LOST
            for left in await steps.take():
                await steps.end(left)

    async def test_every_receipt_of_a_batch_has_its_own_answer(self, steps: BrokerSteps) -> None:
        await steps.put_new(3)
        one, two, three = await steps.take()
        await steps.end(two)
        unknown = Receipt("never-seen", QUEUE, 1)
        receipts = [one.receipt, two.receipt, unknown, three.receipt]
        held = await steps.broker.renew([Renewal(receipt) for receipt in receipts], steps.long)
        assert held == [Holding.HELD, Holding.LOST, Holding.LOST, Holding.HELD]
        settled = await steps.broker.settle([Settlement(receipt, Verdict.DONE) for receipt in receipts])
        assert settled == [True, False, False, True]
        assert await steps.broker.settle([]) == []
        assert await steps.broker.renew([], steps.long) == []

    async def test_a_finished_task_never_comes_back(self, steps: BrokerSteps) -> None:
        await steps.put_new(2)
        done, dead = await steps.take(units=1)
        await steps.end(done, Verdict.DONE)
        await steps.end(dead, Verdict.DEAD, reason="broken")
        await steps.let_pass(1.5)
        assert await steps.take() == []

    async def test_deliveries_count_those_that_ended_without_a_settlement(self, steps: BrokerSteps) -> None:
        """A retry or release doesn't count, a crash does, whether it was noticed or not."""
        await steps.put_new(1)
        await steps.end(await steps.take_one(), Verdict.RETRY)
        await steps.end(await steps.take_one(), Verdict.RELEASE)
        first = await steps.take_one()
        assert first.deliveries == 1
        await steps.end(first, Verdict.RELEASE, counted=True)
        second = await steps.take_one(units=1)
        assert second.deliveries == 2
        await steps.let_pass(1.5)
        third = await steps.take_one()
        assert third.deliveries == 3
        await steps.end(third, Verdict.RETRY)
        assert (await steps.take_one()).deliveries == 3

    async def test_the_fence_rises_with_every_delivery(self, steps: BrokerSteps) -> None:
        await steps.put_new(1)
        fences: list[int] = []
        for verdict in (Verdict.RETRY, Verdict.RELEASE, Verdict.RETRY, Verdict.DONE):
            delivery = await steps.take_one()
            fences.append(delivery.receipt.fence)
            await steps.end(delivery, verdict)
        assert fences == sorted(set(fences))

    async def test_state_travels_from_delivery_to_delivery(self, steps: BrokerSteps) -> None:
        await steps.put_new(1)
        await steps.end(await steps.take_one(), Verdict.RETRY, state=bytes(range(256)))
        second = await steps.take_one(units=1)
        assert second.state == bytes(range(256))
        await steps.let_pass(1.5)
        third = await steps.take_one()
        assert third.state == bytes(range(256))
        await steps.end(third, Verdict.RELEASE, state=b"newer")
        assert (await steps.take_one()).state == b"newer"

    async def test_waiting_ends_in_time_and_can_be_cancelled(self, steps: BrokerSteps) -> None:
        waiting = [
            asyncio.create_task(steps.broker.wait([QUEUE], [LANE], steps.bench.unit)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        ids = await steps.put_new(3)
        await steps.let_pass(2)
        await asyncio.wait_for(asyncio.gather(*waiting[1:]), 30)
        assert ids_of(await steps.take()) == ids

    async def test_names_and_bodies_are_opaque(self, steps: BrokerSteps) -> None:
        queue = "очередь {a}:*?[x] 'q\" \N{SNOWMAN}"
        keys = {"unique_key": "clé {b}:*"} if steps.broker.capabilities.unique_keys else {}
        strange = make_message(
            "id {c}:* é", queue=queue, task="tâche %s {0}", headers={"é": "\U0001f600"}, **keys
        )
        longest = make_message("i" * 200, queue="q" * 200, task="t" * 200, body=b"")
        await steps.put(strange, longest)
        for message in (strange, longest):
            [delivery] = await steps.take(queues=[message.queue])
            assert delivery.message == message
            await steps.end(delivery)

    async def test_a_body_of_a_mebibyte_travels(self, steps: BrokerSteps) -> None:
        message = make_message(body=bytes(range(256)) * 4096)
        await steps.put(message)
        delivery = await steps.take_one()
        await steps.end(delivery, Verdict.RETRY, state=message.body)
        again = await steps.take_one()
        assert again.message == message
        assert again.state == message.body

    async def test_closing_twice_and_opening_again_keeps_what_is_queued(self, steps: BrokerSteps) -> None:
        ids = await steps.put_new(3)
        held = await steps.take_one()
        await steps.broker.close()
        await steps.broker.close()
        await steps.broker.open()
        await steps.end(held)
        assert ids_of(await steps.take()) == ids[1:]
