"""The Redis broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from flowrra.clock import Clock, SystemClock
from flowrra.config import BrokerConfig
from flowrra.fork import drop_after_fork
from flowrra.message import Acceptance, Claim, Enqueued, Holding, Message, Renewal, Settlement
from flowrra.protocols import Backend, Diagnostics, QueueAdmin, Settler
from flowrra.redis.admin import RedisAdmin
from flowrra.redis.backend import RedisBackend
from flowrra.redis.claiming import Claiming
from flowrra.redis.diagnostics import ServerDiagnostics, warn_once
from flowrra.redis.ending import Ending
from flowrra.redis.entrance import Entrance
from flowrra.redis.inheritance import keep_inherited
from flowrra.redis.server import Server
from flowrra.redis.settler import RedisSettler
from flowrra.redis.waker import Waker
from flowrra.reports import BrokerCapabilities
from flowrra.url import URL

_logger: Final = logging.getLogger(__name__)

_CAPABILITIES: Final = BrokerCapabilities(durable=True, priority=True, unique_keys=True)

#: Seconds between two looks whether a full queue has room.
_LOOK_EVERY: Final = 0.05


class RedisBroker:
    """Queues on a Redis server or cluster, for any number of processes and machines.

    What it accepted survives as far as the server's persistence goes: with ``appendonly yes``, ``appendfsync
    always`` loses nothing, and ``everysec`` the last second or two at most. All times are the server's.
    Without ``max_queue_size`` queues have no bound.
    """

    def __init__(self, config: BrokerConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock: Clock = clock or SystemClock()
        self._assemble()
        drop_after_fork(self)

    def _assemble(self) -> None:
        config = self._config
        #: The server on which the queues are.
        self.server: Server = Server(
            URL.parse(config.url),
            timeout=config.socket_timeout,
            retry_on_timeout=config.retry_on_timeout,
            max_connections=config.max_connections,
        )
        self._entrance = Entrance(self.server, config.max_queue_size)
        self._ending = Ending(self.server)
        self._claiming = Claiming(self.server, self._ending)
        self._waker = Waker(self.server)
        self._admin = RedisAdmin(self.server)
        self._diagnostics = ServerDiagnostics(self.server, self._clock)
        self._full = asyncio.Lock()

    def reset(self) -> None:
        """Forget every connection without touching it; a forked child does so."""
        keep_inherited(self.server, self._entrance, self._waker)
        self._assemble()

    def __repr__(self) -> str:
        return f"RedisBroker({self.server.name!r})"

    @property
    def capabilities(self) -> BrokerCapabilities:
        """Priority, unique keys, and tasks that survive the server's restart."""
        return _CAPABILITIES

    @property
    def admin(self) -> QueueAdmin | None:
        """Everything an operator may ask."""
        return self._admin

    @property
    def diagnostics(self) -> Diagnostics | None:
        """How the server is."""
        return self._diagnostics

    async def open(self) -> None:
        """Connect, and warn once if the server may lose what it keeps.

        Raises:
            TransientError: The server doesn't answer.
            PermanentError: It refuses the login or the database.
        """
        await self.server.open()
        warn_once(self.server, _logger)

    async def close(self) -> None:
        """Let go of every connection; the queues stay."""
        await self._waker.close()
        await self._entrance.close()
        await self.server.close()

    async def enqueue(self, messages: Sequence[Message], wait: float) -> list[Enqueued]:
        """Accept messages in order; for room they wait in turn, up to *wait* seconds."""
        if not messages:
            return []
        answers = await self._entrance.put(messages)
        full = [index for index, answer in enumerate(answers) if answer.acceptance is Acceptance.FULL]
        if full and wait > 0:
            try:
                async with asyncio.timeout(wait), self._full:
                    while full:
                        await asyncio.sleep(_LOOK_EVERY)
                        full = await self._offer_again(messages, full, answers)
            except TimeoutError:
                pass
        return answers

    async def _offer_again(
        self, messages: Sequence[Message], full: Sequence[int], answers: list[Enqueued]
    ) -> list[int]:
        """Offer what found no room; what still finds none."""
        again = await self._entrance.put([messages[index] for index in full])
        for index, answer in zip(full, again, strict=True):
            answers[index] = answer
        return [index for index in full if answers[index].acceptance is Acceptance.FULL]

    async def claim(self, queues: Sequence[str], room: Mapping[str, int], lease: float, worker: str) -> Claim:
        """Hand out ready tasks, after making ready what is due and what lost its lease."""
        return await self._claiming.claim(queues, room, lease, worker)

    async def wait(self, queues: Sequence[str], lanes: Sequence[str], timeout: float) -> None:
        """Suspend until a task came for one of *lanes*; each task wakes one worker."""
        await self._waker.wait(queues, lanes, timeout)

    async def renew(self, renewals: Sequence[Renewal], lease: float) -> list[Holding]:
        """Extend leases whose fence is current."""
        return await self._ending.renew(renewals, lease)

    async def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries whose fence is current."""
        return await self._ending.settle(settlements)

    def settler(self, backend: Backend) -> Settler | None:
        """One step, if *backend* is on the same server under the same login."""
        if not isinstance(backend, RedisBackend):
            return None
        there = backend.server
        if not self.server.is_same(there):
            return None
        database = None if there.database == self.server.database else there.database
        return RedisSettler(self._ending, backend.runs, database)
