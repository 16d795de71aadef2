"""Brokers: one task for one id, unique key and tick."""

from __future__ import annotations

from typing import Any

from flowrra.message import Acceptance, Enqueued, Message, Place, Verdict
from flowrra.testing.broker_steps import BrokerSteps, ids_of
from flowrra.testing.factories import QUEUE, make_message


class OncePromises:
    """Duplicates, and what is not one."""

    async def _is_refused(self, steps: BrokerSteps, message: Message) -> None:
        again = message._replace(body=b"another")
        assert await steps.put(again) == [Enqueued(Acceptance.DUPLICATE, message.id)]

    async def test_the_same_id_again_changes_nothing(self, steps: BrokerSteps) -> None:
        """While the task is ready, delayed or leased."""
        ready, delayed = make_message(), make_message(delay=2 * steps.bench.unit)
        await steps.put(ready, delayed)
        await self._is_refused(steps, ready)
        await self._is_refused(steps, delayed)
        delivery = await steps.take_one()
        assert delivery.message == ready
        await self._is_refused(steps, ready)
        assert await steps.take() == []
        await steps.let_pass(2.5)
        assert (await steps.take_one()).message == delayed

    async def test_the_same_id_is_refused_after_the_task_is_finished(self, steps: BrokerSteps) -> None:
        done, dead = make_message(), make_message()
        await steps.put(done, dead)
        await steps.end(await steps.take_one(), Verdict.DONE)
        await steps.end(await steps.take_one(), Verdict.DEAD, reason="broken")
        await self._is_refused(steps, done)
        await self._is_refused(steps, dead)
        assert await steps.take() == []

    async def test_one_batch_may_hold_duplicates(self, steps: BrokerSteps) -> None:
        """Each message has an answer of its own, in order."""
        one, two = make_message(), make_message()
        answers = await steps.put(one, two, one._replace(body=b"another"), two)
        accepted = [Enqueued(Acceptance.ACCEPTED, each.id) for each in (one, two)]
        assert answers == [*accepted, *(Enqueued(Acceptance.DUPLICATE, each.id) for each in (one, two))]
        assert [delivery.message for delivery in await steps.take()] == [one, two]
        assert await steps.put() == []

    async def _holds_key(self, steps: BrokerSteps, holder: str, **fields: Any) -> None:
        other = make_message(unique_key="key", **fields)
        assert await steps.put(other) == [Enqueued(Acceptance.DUPLICATE, holder)]

    async def test_a_unique_key_has_one_holder(self, steps: BrokerSteps) -> None:
        """Through delivery, retry, release and loss of the lease."""
        if not steps.broker.capabilities.unique_keys:
            return
        [holder] = await steps.put_new(1, unique_key="key")
        await self._holds_key(steps, holder)
        await steps.end(await steps.take_one(), Verdict.RETRY, delay=steps.bench.unit)
        await self._holds_key(steps, holder, delay=1.0)
        await steps.let_pass(1.5)
        await steps.end(await steps.take_one(), Verdict.RELEASE)
        await self._holds_key(steps, holder)
        await steps.take_one(units=1)
        await steps.let_pass(1.5)
        await self._holds_key(steps, holder)
        assert ids_of(await steps.take()) == [holder]

    async def test_a_unique_key_counts_within_its_queue(self, steps: BrokerSteps) -> None:
        if not steps.broker.capabilities.unique_keys:
            return
        one, two, three = (make_message(unique_key=key) for key in ("key", "another", "key"))
        elsewhere = make_message(unique_key="key", queue="elsewhere")
        answers = await steps.put(one, two, elsewhere, three)
        assert [answer.acceptance for answer in answers] == [Acceptance.ACCEPTED] * 3 + [Acceptance.DUPLICATE]
        assert answers[3].id == one.id

    async def test_a_unique_key_is_free_at_the_end(self, steps: BrokerSteps) -> None:
        """After done and dead; a late end of the old holder doesn't free the new holder's key."""
        if not steps.broker.capabilities.unique_keys:
            return
        for verdict in (Verdict.DONE, Verdict.DEAD):
            [holder] = await steps.put_new(1, unique_key="key")
            delivery = await steps.take_one()
            await steps.end(delivery, verdict)
            [newer] = await steps.put_new(1, unique_key="key")
            assert newer != holder
            assert not await steps.settle(delivery)
            await self._holds_key(steps, newer)
            await steps.end(await steps.take_one())

    async def test_a_unique_key_is_free_after_cancel_and_purge(self, steps: BrokerSteps) -> None:
        admin = steps.broker.admin
        if not steps.broker.capabilities.unique_keys or admin is None:
            return
        [cancelled] = await steps.put_new(1, unique_key="key")
        [cancellation] = await admin.cancel([cancelled], steps.long)
        assert cancellation.delivery is not None
        await self._holds_key(steps, cancelled)
        await steps.end(cancellation.delivery)
        await steps.put_new(1, unique_key="key")
        assert await admin.purge(QUEUE, [Place.READY]) == 1
        await steps.put_new(1, unique_key="key")

    async def test_each_tick_of_a_schedule_is_taken_once(self, steps: BrokerSteps) -> None:
        """Also after its task is finished; another schedule's ticks are its own."""

        def tick(fire_time: float, schedule: str = "nightly") -> Message:
            return make_message(schedule=schedule, fire_time=fire_time)

        async def answers(*messages: Message) -> list[Acceptance]:
            return [answer.acceptance for answer in await steps.put(*messages)]

        accepted, duplicate = Acceptance.ACCEPTED, Acceptance.DUPLICATE
        assert await answers(tick(100.0), tick(100.0), tick(160.0)) == [accepted, duplicate, accepted]
        for delivery in await steps.take():
            await steps.end(delivery)
        assert await answers(tick(100.0), tick(160.0), tick(160.25)) == [duplicate, duplicate, accepted]
        assert await answers(tick(100.0, "weekly")) == [accepted]
