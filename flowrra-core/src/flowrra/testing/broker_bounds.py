"""Brokers: a bounded queue, and the step that settles and stores at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from flowrra.memory import MemoryBackend
from flowrra.message import Acceptance, Place, Record, Settlement, Verdict
from flowrra.protocols import Backend
from flowrra.testing.broker_steps import BrokerSteps, ids_of
from flowrra.testing.factories import QUEUE, make_message, make_record


@asynccontextmanager
async def bounded(steps: BrokerSteps, limit: int) -> AsyncGenerator[BrokerSteps, None]:
    """A broker with a bound."""
    few = await steps.another(max_queue_size=limit)
    yield few
    await few.broker.close()


async def offer(steps: BrokerSteps, count: int = 1, wait: float = 0.0, **fields: Any) -> list[Acceptance]:
    """Enqueue new messages one by one and return the answers."""
    answers = [await steps.put(make_message(**fields), wait=wait) for _ in range(count)]
    return [answer.acceptance for [answer] in answers]


class BoundPromises:
    """``max_queue_size``, and ``Broker.settler``."""

    async def test_a_full_queue_accepts_no_more(self, steps: BrokerSteps) -> None:
        """Ready and delayed tasks count together; what is refused is not there."""
        async with bounded(steps, 3) as few:
            assert await offer(few, 2) == [Acceptance.ACCEPTED] * 2
            assert await offer(few, 2, delay=steps.bench.unit) == [Acceptance.ACCEPTED, Acceptance.FULL]
            batch = [make_message(), make_message()]
            assert [answer.acceptance for answer in await few.put(*batch)] == [Acceptance.FULL] * 2
            await few.let_pass(1.5)
            assert len(await few.take()) == 3
            assert [answer.acceptance for answer in await few.put(*batch)] == [Acceptance.ACCEPTED] * 2

    async def test_a_duplicate_needs_no_room(self, steps: BrokerSteps) -> None:
        async with bounded(steps, 1) as few:
            message = make_message()
            await few.put(message)
            [answer] = await few.put(message)
            assert answer.acceptance is Acceptance.DUPLICATE

    async def test_what_is_put_back_needs_no_room(self, steps: BrokerSteps) -> None:
        """Retries, releases and lost leases may exceed the bound: they were accepted once."""
        async with bounded(steps, 3) as few:
            await few.put_new(3)
            retry, release, _lost = await few.take(units=1)
            await few.put_new(3)
            await few.end(retry, Verdict.RETRY)
            await few.end(release, Verdict.RELEASE)
            await few.let_pass(1.5)
            assert len(await few.take()) == 6

    async def test_a_producer_waits_for_room(self, steps: BrokerSteps) -> None:
        async with bounded(steps, 1) as few:
            [first] = await few.put_new(1)
            second = make_message()
            putting = asyncio.create_task(few.put(second, wait=few.long))
            await few.let_pass(1)
            assert not putting.done()
            assert ids_of(await few.take()) == [first]
            await few.let_pass(1)
            [answer] = await asyncio.wait_for(putting, 30)
            assert answer.acceptance is Acceptance.ACCEPTED
            assert ids_of(await few.take()) == [second.id]

    async def test_whatever_makes_room_lets_a_producer_in(self, steps: BrokerSteps) -> None:
        """A cancellation, a purge, and the late end of a task whose lease was over."""
        async with bounded(steps, 1) as few:
            admin = few.broker.admin
            if admin is None:
                return
            [cancelled] = await few.put_new(1)
            putting = asyncio.create_task(offer(few, wait=few.long))
            await few.let_pass(1)
            await admin.cancel([cancelled], few.long)
            await few.let_pass(1)
            assert await asyncio.wait_for(putting, 30) == [Acceptance.ACCEPTED]

            putting = asyncio.create_task(offer(few, wait=few.long))
            await few.let_pass(1)
            assert await admin.purge(QUEUE, [Place.READY]) == 1
            await few.let_pass(1)
            assert await asyncio.wait_for(putting, 30) == [Acceptance.ACCEPTED]

            late = await few.take_one(units=1)
            await few.let_pass(1.5)
            await few.take(room={"another": 1})
            putting = asyncio.create_task(offer(few, wait=few.long))
            await few.let_pass(1)
            await few.end(late)
            await few.let_pass(1)
            assert await asyncio.wait_for(putting, 30) == [Acceptance.ACCEPTED]

    async def test_a_duplicate_that_waited_leaves_its_turn_to_the_next(self, steps: BrokerSteps) -> None:
        if not steps.broker.capabilities.unique_keys:
            return
        async with bounded(steps, 1) as few:
            await few.put_new(1)
            fields: list[dict[str, Any]] = [{"unique_key": "key"}, {"unique_key": "key"}, {}]
            putting = [asyncio.create_task(offer(few, wait=few.long, **each)) for each in fields]
            await few.let_pass(1)
            for _ in range(2):
                await few.take_one()
                await few.let_pass(1)
            answers = await asyncio.wait_for(asyncio.gather(*putting), 30)
            accepted, duplicate = [Acceptance.ACCEPTED], [Acceptance.DUPLICATE]
            assert answers == [accepted, duplicate, accepted]

    async def test_a_producer_waits_no_longer_than_told(self, steps: BrokerSteps) -> None:
        async with bounded(steps, 1) as few:
            await few.put_new(1)
            putting = asyncio.create_task(offer(few, wait=2 * few.bench.unit))
            await few.let_pass(1)
            assert not putting.done()
            await few.let_pass(1.5)
            assert await asyncio.wait_for(putting, 30) == [Acceptance.FULL]
            assert len(await few.take()) == 1
            assert await few.take() == []

    async def test_a_producer_that_gave_up_leaves_nothing(self, steps: BrokerSteps) -> None:
        """Neither its message, nor a hole where the next one should go."""
        async with bounded(steps, 1) as few:
            await few.put_new(1)
            patient = make_message()
            putting = [
                asyncio.create_task(few.put(message, wait=few.long))
                for message in (make_message(), make_message(), patient)
            ]
            await few.let_pass(1)
            for task in putting[:2]:
                task.cancel()
            await asyncio.wait(putting[:2])
            assert len(await few.take()) == 1
            await few.let_pass(1)
            await asyncio.wait_for(putting[2], 30)
            assert ids_of(await few.take()) == [patient.id]

    async def test_many_producers_never_exceed_the_bound(self, steps: BrokerSteps) -> None:
        async with bounded(steps, 5) as few:
            putting = [asyncio.create_task(offer(few, wait=few.long)) for _ in range(40)]
            taken: list[str] = []
            while len(taken) < 40:
                await few.let_pass(0.1)
                batch = ids_of(await few.take())
                assert len(batch) <= 5
                taken += batch
            assert len(set(taken)) == 40
            for answers in await asyncio.wait_for(asyncio.gather(*putting), 30):
                assert answers == [Acceptance.ACCEPTED]

    async def test_a_settler_never_stores_for_a_stale_receipt(self, steps: BrokerSteps) -> None:
        """A broker offers one step only with a backend that it knows."""
        stranger = cast("Backend", _Stranger())
        assert steps.broker.settler(stranger) is None
        backend = MemoryBackend(clock=steps.bench.clock)
        settler = steps.broker.settler(backend)
        if settler is None:
            return
        await steps.put_new(2)
        one, two = await steps.take(units=1)
        await steps.let_pass(1.5)
        newer = await steps.take_one()
        settlements: Sequence[Settlement] = [
            Settlement(
                delivery.receipt, Verdict.DONE, _record(steps, delivery.message, delivery.receipt.fence)
            )
            for delivery in (one, newer, two)
        ]
        assert await settler.settle(settlements) == [False, True, True]
        kept = await backend.get([one.message.id, two.message.id])
        assert [record.fence for record in kept if record] == [newer.receipt.fence, two.receipt.fence]


class _Stranger:
    """A backend of which no broker can know."""


def _record(steps: BrokerSteps, message: Any, fence: int) -> Record:
    return make_record(steps.bench.clock.time(), message, fence=fence)
