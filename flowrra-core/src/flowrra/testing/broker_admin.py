"""Brokers: the optional part for operators."""

from __future__ import annotations

from flowrra.message import Holding, Place, QueueCounts, Verdict
from flowrra.protocols import QueueAdmin
from flowrra.reports import Cancellation
from flowrra.testing.broker_steps import WORKER, BrokerSteps, ids_of
from flowrra.testing.factories import QUEUE, make_message


class AdminPromises:
    """Every promise of :class:`~flowrra.protocols.QueueAdmin`; nothing is asked of a broker without it."""

    async def test_find_knows_every_place(self, steps: BrokerSteps, admin: QueueAdmin | None) -> None:
        if admin is None:
            return
        leased, dead, ready, done = (make_message() for _ in range(4))
        delayed = make_message(delay=1_000 * steps.bench.unit)
        await steps.put(leased, dead, done, ready, delayed)
        held, buried, finished = await steps.take(3)
        await steps.end(buried, Verdict.DEAD, reason="broken", state=b"past")
        await steps.end(finished, Verdict.DONE)
        found = await admin.find([each.id for each in (ready, delayed, leased, dead, done)] + ["unknown"])
        assert found[4:] == [None, None]
        entries = [entry for entry in found if entry is not None]
        assert [entry.message for entry in entries] == [ready, delayed, leased, dead]
        assert [entry.place for entry in entries] == [Place.READY, Place.DELAYED, Place.LEASED, Place.DEAD]
        assert [entry.deliveries for entry in entries] == [0, 0, 1, 1]
        assert entries[1].due is not None
        assert abs(entries[1].due - entries[1].submitted_at - 1_000 * steps.bench.unit) < 0.01
        assert (entries[2].worker, entries[2].claimed_at) == (WORKER, held.claimed_at)
        assert (entries[2].fence, entries[2].progress) == (held.receipt.fence, None)
        assert (entries[3].reason, entries[3].state) == ("broken", b"past")
        assert entries[3].due is not None

    async def test_find_shows_state_and_progress(self, steps: BrokerSteps, admin: QueueAdmin | None) -> None:
        """The newest progress of the delivery; a renewal without any keeps it."""
        if admin is None:
            return
        [task_id] = await steps.put_new(1)
        await steps.end(await steps.take_one(), Verdict.RETRY, state=b"\x00\xff past")
        assert (await steps.entry(task_id)).state == b"\x00\xff past"
        delivery = await steps.take_one()
        await steps.renew(delivery.receipt, progress=b"\xff\x00 half")
        await steps.renew(delivery.receipt)
        entry = await steps.entry(task_id)
        assert (entry.progress, entry.state) == (b"\xff\x00 half", b"\x00\xff past")

    async def test_a_waiting_task_is_cancelled_by_a_claim(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        """Whoever cancels holds it, until settled or the lease is over."""
        if admin is None:
            return
        [ready] = await steps.put_new(1)
        [delayed] = await steps.put_new(1, delay=steps.bench.unit)
        cancellations = await admin.cancel([ready, delayed], 4 * steps.bench.unit)
        deliveries = [each.delivery for each in cancellations if each.delivery is not None]
        assert ids_of(deliveries) == [ready, delayed]
        assert not any(each.running for each in cancellations)
        await steps.let_pass(1.5)
        assert await steps.take() == []
        await steps.end(deliveries[0])
        await steps.let_pass(3)
        assert ids_of(await steps.take()) == [delayed]

    async def test_a_running_task_hears_of_its_cancellation_when_it_renews(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        if admin is None:
            return
        cancelled, other = await steps.put_new(2)
        one, two = await steps.take()
        assert await admin.cancel([cancelled], steps.long) == [Cancellation(running=True)]
        renewed = [await steps.renew(delivery.receipt) for delivery in (one, two, one)]
        assert renewed == [Holding.CANCELLED, Holding.HELD, Holding.CANCELLED]
        await steps.end(one)
        await steps.end(two, Verdict.RETRY)
        assert ids_of(await steps.take()) == [other]

    async def test_what_is_finished_or_unknown_is_not_cancelled(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        if admin is None:
            return
        done, dead = await steps.put_new(2)
        await steps.end(await steps.take_one(), Verdict.DONE)
        await steps.end(await steps.take_one(), Verdict.DEAD)
        assert await admin.cancel([done, dead, "unknown"], steps.long) == [Cancellation()] * 3
        assert (await steps.entry(dead)).place is Place.DEAD

    async def test_counts_tell_every_place(self, steps: BrokerSteps, admin: QueueAdmin | None) -> None:
        if admin is None:
            return
        await steps.put_new(6, queue="busy")
        await steps.put_new(2, queue="busy", delay=steps.long)
        one, two, _three = await steps.take(3, queues=["busy"])
        await steps.end(one, Verdict.DEAD)
        await steps.end(two, Verdict.RETRY, delay=steps.long)
        await admin.pause("paused")
        await steps.let_pass(2)
        busy, paused = await admin.counts()
        assert busy._replace(oldest_age=None) == QueueCounts("busy", ready=3, delayed=3, leased=1, dead=1)
        assert busy.oldest_age is not None
        assert busy.oldest_age >= 1.9 * steps.bench.unit
        assert paused == QueueCounts("paused", paused=True)
        named = await admin.counts(["paused", "empty"])
        assert named == [QueueCounts("paused", paused=True), QueueCounts("empty")]

    async def _pages(self, admin: QueueAdmin, place: Place) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            page = await admin.peek(QUEUE, place, 2, cursor)
            assert 1 <= len(page.entries) <= 2
            ids += ids_of(page.entries)
            cursor = page.next
            if cursor is None:
                return ids

    async def test_peek_pages_in_the_order_of_leaving(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        if admin is None:
            return
        unit, ranked = steps.bench.unit, steps.broker.capabilities.priority
        delays = [3, 1, 2]
        delayed = [(await steps.put_new(1, delay=(500 + delay) * unit))[0] for delay in delays]
        dead = await steps.put_new(3)
        for delivery in await steps.take():
            await steps.let_pass(0.1)
            await steps.end(delivery, Verdict.DEAD)
        for number in [2, 0, 1, 0, 2] if ranked else [0] * 5:
            await steps.put_new(1, priority=number)
        await steps.put_new(1, queue="elsewhere")
        assert await self._pages(admin, Place.DELAYED) == [delayed[1], delayed[2], delayed[0]]
        assert await self._pages(admin, Place.DEAD) == dead[::-1]
        ready = await self._pages(admin, Place.READY)
        assert ready == ids_of(await steps.take())
        assert await self._pages(admin, Place.LEASED) != []
        assert (await admin.peek(QUEUE, Place.READY, 2)).entries == []

    async def test_a_page_follows_although_the_one_before_has_left(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        if admin is None:
            return
        ids = await steps.put_new(4)
        page = await admin.peek(QUEUE, Place.READY, 2)
        await steps.take(2)
        assert ids_of((await admin.peek(QUEUE, Place.READY, 5, page.next)).entries) == ids[2:]

    async def test_a_paused_queue_gives_nothing(self, steps: BrokerSteps, admin: QueueAdmin | None) -> None:
        """What runs goes on and may be put back; other queues notice nothing."""
        if admin is None:
            return
        ids = await steps.put_new(3)
        held = await steps.take(2)
        await admin.pause(QUEUE)
        await admin.pause(QUEUE)
        await steps.end(held[0])
        await steps.end(held[1], Verdict.RELEASE)
        await steps.put_new(1, queue="elsewhere")
        assert len(await steps.take(queues=[QUEUE, "elsewhere"])) == 1
        assert await steps.take() == []
        await admin.resume(QUEUE)
        assert ids_of(await steps.take()) == ids[1:]

    async def test_purge_deletes_what_waits_and_nothing_that_runs(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        if admin is None:
            return
        held, dead, *ready = await steps.put_new(4)
        await steps.put_new(2, delay=steps.long)
        [elsewhere] = await steps.put_new(1, queue="elsewhere")
        one, two = await steps.take(2)
        await steps.end(two, Verdict.DEAD)
        assert await admin.purge(QUEUE, [Place.READY]) == 2
        assert await admin.find(ready) == [None, None]
        assert (await steps.entry(dead)).place is Place.DEAD
        assert await admin.purge(QUEUE, list(Place)) == 3
        assert await admin.purge(QUEUE, list(Place)) == 0
        assert (await steps.entry(held)).place is Place.LEASED
        await steps.end(one)
        assert ids_of(await steps.take(queues=[QUEUE, "elsewhere"])) == [elsewhere]

    async def test_a_dead_task_is_requeued_as_if_new(
        self, steps: BrokerSteps, admin: QueueAdmin | None
    ) -> None:
        if admin is None:
            return
        [dead] = await steps.put_new(1)
        await steps.end(await steps.take_one(), Verdict.RELEASE, counted=True)
        last = await steps.take_one()
        await steps.end(last, Verdict.DEAD, reason="broken")
        [leased] = await steps.put_new(1)
        await steps.take_one()
        [ready] = await steps.put_new(1)
        assert await admin.requeue([ready, dead, leased, "unknown"]) == [False, True, False, False]
        assert await admin.requeue([dead]) == [False]
        assert not await steps.settle(last)
        again = (await steps.take())[-1]
        assert (again.message.id, again.deliveries) == (dead, 1)
        assert again.receipt.fence > last.receipt.fence
