"""Renewing and ending deliveries."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final, NamedTuple, TypeAlias

from flowrra.message import Holding, Receipt, Renewal, Settlement, Verdict
from flowrra.redis.calls import Call, Role
from flowrra.redis.keys import queue_prefix
from flowrra.redis.programs import AT_ONCE, RENEW, SETTLE
from flowrra.redis.reading import microseconds
from flowrra.redis.server import Server

_HOLDINGS: Final = {ord("0"): Holding.LOST, ord("1"): Holding.HELD, ord("2"): Holding.CANCELLED}
_ACCEPTED: Final = ord("1")

#: Calls without an answer that are remembered, for whoever repeats them.
_REMEMBERED: Final = 100


class Batch(NamedTuple):
    """Settlements of one queue for one call: their positions, those that are done first."""

    queue: str
    positions: list[int]
    done: int

    def arguments(self, settlements: Sequence[Settlement]) -> list[Any]:
        """What the script takes of them."""
        args: list[Any] = [self.done]
        for position in self.positions[: self.done]:
            receipt = settlements[position].receipt
            args += (receipt.id, receipt.fence)
        args.append(len(self.positions) - self.done)
        for position in self.positions[self.done :]:
            (task_id, _, fence), verdict, _, delay, state, counted, reason = settlements[position]
            args += (task_id, fence, verdict.value, int(counted), microseconds(delay), state, reason or "")
        return args


#: Makes the call that settles a batch under a name.
MakeCall: TypeAlias = Callable[[str, Batch, Sequence[Settlement]], Call]


def batches(settlements: Sequence[Settlement]) -> list[Batch]:
    """Settlements in batches of one queue each, with no id twice."""
    open_batches: dict[str, _Gathering] = {}
    full: list[_Gathering] = []
    for position, settlement in enumerate(settlements):
        task_id, queue, _ = settlement.receipt
        gathering = open_batches.get(queue)
        if gathering is None or task_id in gathering.ids or len(gathering.ids) == AT_ONCE:
            gathering = open_batches[queue] = _Gathering(queue)
            full.append(gathering)
        gathering.ids.add(task_id)
        (gathering.done if settlement.verdict is Verdict.DONE else gathering.kept).append(position)
    return [Batch(each.queue, [*each.done, *each.kept], len(each.done)) for each in full]


class _Gathering:
    """A batch to be."""

    __slots__ = ("done", "ids", "kept", "queue")

    def __init__(self, queue: str) -> None:
        self.queue: Final = queue
        self.ids: Final[set[str]] = set()
        self.done: Final[list[int]] = []
        self.kept: Final[list[int]] = []


class Names:
    """Names for calls, by which the server knows a call that is repeated.

    A call that got no answer keeps its name: whoever settles the same receipts again gets
    the answer to the first call, if that arrived.
    """

    def __init__(self) -> None:
        self._own = os.urandom(6).hex()
        self._numbers = count()
        self._unanswered: dict[tuple[Receipt, ...], str] = {}

    def new(self) -> str:
        """A name that nobody else uses."""
        return f"{self._own}-{next(self._numbers)}"

    def of(self, receipts: tuple[Receipt, ...]) -> str:
        """The name for settling *receipts*; remembered until ``answered``."""
        name = self._unanswered.get(receipts)
        if name is None:
            name = self._unanswered[receipts] = self.new()
            if len(self._unanswered) > _REMEMBERED:
                del self._unanswered[next(iter(self._unanswered))]
        return name

    def answered(self, receipts: tuple[Receipt, ...]) -> None:
        """Forget the name."""
        self._unanswered.pop(receipts, None)


class Ending:
    """Sends renewals and settlements, one call per queue and some hundred of them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names = Names()

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        """Extend leases; the answer to each."""
        groups: dict[str, list[int]] = {}
        for position, renewal in enumerate(renewals):
            groups.setdefault(renewal.receipt.queue, []).append(position)
        calls: list[Call] = []
        order: list[int] = []
        for queue, positions in groups.items():
            for start in range(0, len(positions), AT_ONCE):
                part = positions[start : start + AT_ONCE]
                args: list[Any] = [microseconds(lease)]
                for position in part:
                    (task_id, _, fence), progress = renewals[position]
                    args += (task_id, fence, progress or b"")
                calls.append(Call(RENEW, (queue_prefix(queue),), args))
                order += part
        # By this connection, so that the thread that only renews needs no other.
        replies = await self._server.run(Role.COMMAND, calls)
        digits = b"".join(replies)
        answers = {position: _HOLDINGS[digit] for position, digit in zip(order, digits, strict=True)}
        return [answers[position] for position in range(len(renewals))]

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries; whether each was accepted."""
        return await self.settle_by(settlements, _plain_call)

    async def settle_by(self, settlements: Sequence[Settlement], make_call: MakeCall) -> list[bool]:
        """End deliveries by calls that *make_call* makes of each batch and its name."""
        found = batches(settlements)
        receipts = [tuple(settlements[position].receipt for position in batch.positions) for batch in found]
        calls = [
            make_call(self._names.of(each), batch, settlements)
            for each, batch in zip(receipts, found, strict=True)
        ]
        replies = await self._server.run(Role.SETTLE, calls)
        accepted = [False] * len(settlements)
        for each, batch, digits in zip(receipts, found, replies, strict=True):
            self._names.answered(each)
            for position, digit in zip(batch.positions, digits, strict=True):
                accepted[position] = digit == _ACCEPTED
        return accepted


def _plain_call(name: str, batch: Batch, settlements: Sequence[Settlement]) -> Call:
    return Call(SETTLE, (queue_prefix(batch.queue),), [name, *batch.arguments(settlements)])
