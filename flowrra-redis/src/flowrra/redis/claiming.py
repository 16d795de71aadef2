"""Claims from one or many queues, in turn."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final

from flowrra.message import Claim, Delivery, Settlement, Verdict
from flowrra.redis.calls import Call, Role
from flowrra.redis.ending import Ending
from flowrra.redis.keys import queue_prefix
from flowrra.redis.programs import CLAIM
from flowrra.redis.reading import microseconds, read_deliveries, seconds
from flowrra.redis.server import Server

_logger = logging.getLogger(__name__)


class Claiming:
    """Asks for tasks. In a cluster, queues on different nodes get fair shares of the room."""

    def __init__(self, server: Server, ending: Ending) -> None:
        self._server = server
        self._ending = ending
        self._name: Final = os.urandom(6).hex()
        self._numbers = count()
        #: The queue that was served last.
        self._served: str | None = None

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        """Hand out at most ``room[lane]`` tasks of each lane."""
        ordered = self._in_turn(queues)
        groups = [[ordered[i] for i in group] for group in self._server.groups([*map(queue_prefix, ordered)])]
        asking = _Asking(room, microseconds(lease), worker)
        shares = _shares(asking.left, len(groups))
        one = len(groups) == 1
        await self._ask([(g, share) for g, share in zip(groups, shares, strict=True) if one or share], asking)
        if not one:
            for group in groups:
                if any(asking.left.values()):
                    await self._ask([(group, asking.left)], asking)
        if asking.deliveries:
            self._served = asking.deliveries[-1].message.queue
        return Claim(asking.deliveries, asking.wake_in)

    def _in_turn(self, queues: Sequence[str]) -> Sequence[str]:
        """The queues, beginning behind the one that was served last."""
        if len(queues) < 2 or self._served not in queues:
            return queues
        start = queues.index(self._served) + 1
        return [*queues[start:], *queues[:start]]

    async def _ask(self, shares: Sequence[tuple[Sequence[str], Mapping[str, int]]], asking: _Asking) -> None:
        """Ask groups of queues, each for its share."""
        calls = [asking.call(f"{self._name}-{next(self._numbers)}", *share) for share in shares]
        replies = await self._server.run(Role.CLAIM, calls)
        for (queues, _), reply in zip(shares, replies, strict=True):
            now = seconds(reply[0])
            asking.note(now, reply[1])
            handed = read_deliveries(reply[2:], queues, now)
            asking.take(handed.deliveries)
            if handed.unreadable:
                await self._bury(
                    [
                        Settlement(receipt, Verdict.DEAD, reason="what is stored of it can't be read")
                        for receipt in handed.unreadable
                    ]
                )

    async def _bury(self, settlements: Sequence[Settlement]) -> None:
        for settlement in settlements:
            _logger.error(
                "task %s in queue %s can't be read: it is dead",
                settlement.receipt.id,
                settlement.receipt.queue,
            )
        await self._ending.settle(settlements)


class _Asking:
    """What one claim has got so far."""

    def __init__(self, room: Mapping[str, int], lease: int, worker: str) -> None:
        self.left: dict[str, int] = {lane: most for lane, most in room.items() if most > 0}
        self.deliveries: list[Delivery] = []
        self.wake_in: float | None = None
        self._lease = lease
        self._worker = worker

    def call(self, name: str, queues: Sequence[str], share: Mapping[str, int]) -> Call:
        """The call for a share of *queues*."""
        args: list[Any] = [name, self._lease, self._worker]
        for lane, most in share.items():
            args += (lane, most)
        return Call(CLAIM, tuple(map(queue_prefix, queues)), args)

    def note(self, now: float, soonest: bytes) -> None:
        """Note when more may become ready."""
        if soonest:
            left = max(0.0, seconds(soonest) - now)
            self.wake_in = left if self.wake_in is None else min(left, self.wake_in)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries."""
        self.deliveries += deliveries
        for delivery in deliveries:
            self.left[delivery.message.lane] -= 1


def _shares(room: Mapping[str, int], groups: int) -> list[dict[str, int]]:
    """Room in equal shares; the first groups get what can't be divided."""
    return [
        {lane: share for lane, most in room.items() if (share := most // groups + (number < most % groups))}
        for number in range(groups)
    ]
