"""What the broker suite works with: a broker to be made, and the steps that tests take."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flowrra.clock import Clock, SystemClock
from flowrra.config import BrokerConfig
from flowrra.message import (
    Acceptance,
    Delivery,
    Enqueued,
    Entry,
    Holding,
    Message,
    Receipt,
    Renewal,
    Settlement,
    Verdict,
)
from flowrra.protocols import Broker
from flowrra.testing.clock import FakeClock
from flowrra.testing.factories import LANE, QUEUE, make_message

#: Room for everything in a test.
PLENTY: Final = 1_000

WORKER: Final = "worker-1"


@dataclass
class BrokerBench:
    """How to make the broker under test, and how its time passes.

    Attributes:
        make: Makes an unopened broker of the given settings (their URL is to be replaced where one is
            needed). All brokers of one bench share their queues, which nobody else uses.
        clock: The time that the broker goes by. With a :class:`FakeClock` no test sleeps; with the
            machine's clock tests sleep for short leases.
        unit: Seconds of the shortest lease or delay; the longest ones are of some units. Choose it longer
            than any round trip may take.
        advance: How to let time pass, where neither of the two clocks can.
    """

    make: Callable[[BrokerConfig], Broker]
    clock: Clock = field(default_factory=SystemClock)
    unit: float = 0.25
    advance: Callable[[float], Awaitable[None]] | None = None

    async def let_pass(self, units: float) -> None:
        """Let some units of time pass."""
        seconds = units * self.unit
        if self.advance is not None:
            await self.advance(seconds)
        elif isinstance(self.clock, FakeClock):
            await self.clock.advance(seconds)
        else:
            await asyncio.sleep(seconds)


class BrokerSteps:
    """An opened broker, and the calls that tests make again and again."""

    def __init__(self, broker: Broker, bench: BrokerBench) -> None:
        self.broker: Broker = broker
        self.bench: BrokerBench = bench
        #: Seconds of a lease that lasts for the whole test.
        self.long: float = 1_000 * bench.unit

    async def put(self, *messages: Message, wait: float = 0.0) -> list[Enqueued]:
        """Enqueue."""
        return await self.broker.enqueue(messages, wait)

    async def put_new(self, count: int, **fields: Any) -> list[str]:
        """Enqueue some new messages and return their ids."""
        messages = [make_message(**fields) for _ in range(count)]
        answers = await self.put(*messages)
        assert answers == [Enqueued(Acceptance.ACCEPTED, message.id) for message in messages]
        return ids_of(messages)

    async def take(
        self,
        most: int = PLENTY,
        *,
        queues: Sequence[str] = (QUEUE,),
        room: Mapping[str, int] | None = None,
        units: float = 1_000,
    ) -> list[Delivery]:
        """Claim, by default up to *most* of the lane ``io`` for the length of the test."""
        lease = units * self.bench.unit
        claim = await self.broker.claim(queues, room or {LANE: most}, lease, WORKER)
        return claim.deliveries

    async def take_one(self, **options: Any) -> Delivery:
        """Claim exactly one."""
        [delivery] = await self.take(1, **options)
        return delivery

    async def settle(self, delivery: Delivery, verdict: Verdict = Verdict.DONE, **fields: Any) -> bool:
        """Settle one delivery."""
        [settled] = await self.broker.settle([Settlement(delivery.receipt, verdict, **fields)])
        return settled

    async def end(self, delivery: Delivery, verdict: Verdict = Verdict.DONE, **fields: Any) -> None:
        """Settle one delivery, which must be accepted."""
        assert await self.settle(delivery, verdict, **fields)

    async def renew(self, receipt: Receipt, units: float = 1_000, progress: bytes | None = None) -> Holding:
        """Renew one lease."""
        [holding] = await self.broker.renew([Renewal(receipt, progress)], units * self.bench.unit)
        return holding

    async def find(self, task_id: str) -> Entry | None:
        """One entry, from a broker that has an admin part."""
        assert self.broker.admin is not None
        [entry] = await self.broker.admin.find([task_id])
        return entry

    async def entry(self, task_id: str) -> Entry:
        """One entry that must be there."""
        entry = await self.find(task_id)
        assert entry is not None
        return entry

    async def let_pass(self, units: float) -> None:
        """Let some units of time pass."""
        await self.bench.let_pass(units)

    async def another(self, **settings: Any) -> BrokerSteps:
        """A further broker of the same bench, opened; for settings of its own. The caller closes it."""
        broker = self.bench.make(BrokerConfig(url="memory://", **settings))
        await broker.open()
        return BrokerSteps(broker, self.bench)


def ids_of(items: Iterable[Message] | Iterable[Delivery] | Iterable[Entry]) -> list[str]:
    """The ids of messages, or of what holds one."""
    return [item.id if isinstance(item, Message) else item.message.id for item in items]
