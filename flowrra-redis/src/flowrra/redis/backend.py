"""The Redis backend: keeps finished runs, lists and counts them, and tells who waits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from flowrra.clock import Clock, SystemClock
from flowrra.config import BackendConfig
from flowrra.fork import drop_after_fork
from flowrra.message import Record
from flowrra.protocols import Diagnostics, EventStream, RunHistory, WorkerBoard
from flowrra.redis.board import RedisBoard
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.diagnostics import ServerDiagnostics, warn_once
from flowrra.redis.history import RedisHistory
from flowrra.redis.inheritance import keep_inherited
from flowrra.redis.records import record_key
from flowrra.redis.runs import RUNS_KEY, Runs, chunks
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server
from flowrra.redis.signals import RedisStream
from flowrra.redis.subscription import Subscription
from flowrra.redis.waiting import Waiting
from flowrra.reports import BackendCapabilities
from flowrra.url import URL

#: How many runs are kept unless ``BackendConfig.history_limit`` says otherwise.
HISTORY_LIMIT: Final = 100_000

_CAPABILITIES: Final = BackendCapabilities(durable=True)

_STORE: Final = Script("store runs", "clock", "records", "history", "store")
#: The same in two steps, for a cluster.
_KEEP: Final = Script("store a run", "records", "keep_run")
_LIST: Final = Script("list stored runs", "clock", "records", "history", "list_runs")

_logger: Final = logging.getLogger(__name__)


class RedisBackend:
    """Finished runs on a Redis server or cluster, for any number of processes and machines.

    Keeps the newest 100,000 runs unless ``history_limit`` says otherwise, each for ``ttl`` seconds if
    there is one. A forked child is unopened and uses no connection of its parent.
    """

    def __init__(self, config: BackendConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock: Clock = clock or SystemClock()
        limit = HISTORY_LIMIT if config.history_limit is None else config.history_limit
        #: Makes what scripts take that keep and list runs.
        self.runs: Final = Runs(config.ttl, limit)
        self._assemble()
        drop_after_fork(self)

    def __repr__(self) -> str:
        return f"RedisBackend({self.server.name!r})"

    def _assemble(self) -> None:
        config = self._config
        #: The server on which the records are.
        self.server: Server = Server(
            URL.parse(config.url),
            timeout=config.socket_timeout,
            retry_on_timeout=config.retry_on_timeout,
            max_connections=config.max_connections,
        )
        self._subscription = Subscription(self.server, self._take, self._look_again)
        self._waiting = Waiting(self.server, self._subscription, self._clock)
        self._history = RedisHistory(self.server, self.runs, self._clock)
        self._stream = RedisStream(self.server, self._subscription, self._clock)
        self._board = RedisBoard(self.server)
        self._diagnostics = ServerDiagnostics(self.server, self._clock)

    def reset(self) -> None:
        """Forget every connection without touching it; a forked child does so."""
        keep_inherited(self.server, self._subscription, self._waiting, self._stream)
        self._assemble()

    @property
    def capabilities(self) -> BackendCapabilities:
        """Records that survive the server's restart, as far as its persistence goes."""
        return _CAPABILITIES

    @property
    def history(self) -> RunHistory | None:
        """All runs that are kept."""
        return self._history

    @property
    def stream(self) -> EventStream | None:
        """Events between all processes."""
        return self._stream

    @property
    def board(self) -> WorkerBoard | None:
        """Workers of all processes."""
        return self._board

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
        """Let go of every connection; the records stay. Whoever waits gets a TransientError."""
        await self._waiting.close()
        await self._stream.close()
        await self._subscription.close()
        await self.server.close()

    async def store(self, records: Sequence[Record]) -> list[bool]:
        """Keep and list records, unless a newer one is there; in one step, or in two in a cluster."""
        accepted = [True] * len(records)
        store = self._store_apart if self.server.facts.cluster else self._store
        for positions in chunks(records):
            for refused in await store([records[position] for position in positions]):
                accepted[positions[refused]] = False
        return accepted

    async def _store(self, records: Sequence[Record]) -> list[int]:
        """One call; the positions of those that are refused."""
        call = Call(_STORE, (RUNS_KEY,), self.runs.arguments(records))
        refused = (await self.server.run(Role.SETTLE, [call]))[0]
        return [number - 1 for number in refused]

    async def _store_apart(self, records: Sequence[Record]) -> list[int]:
        """A call for each record, then one for the lists. If the second fails, storing again mends it."""
        answers = await self.server.run(
            Role.SETTLE,
            [Call(_KEEP, (record_key(r.message.id),), self.runs.arguments([r])) for r in records],
        )
        kept = [(record, answer) for record, answer in zip(records, answers, strict=True) if answer]
        if kept:
            arguments = self.runs.arguments([record for record, _ in kept], [answer for _, answer in kept])
            gone = (await self.server.run(Role.SETTLE, [Call(_LIST, (RUNS_KEY,), arguments)]))[0]
            keys = [record_key(task_id.decode()) for task_id in gone]
            await self.server.run(Role.SETTLE, [Plain(("UNLINK", key), key) for key in keys])
        return [position for position, answer in enumerate(answers) if not answer]

    async def get(self, ids: Sequence[str]) -> list[Record | None]:
        """The record of each id, or None."""
        return await self._history.get(ids)

    async def wait(self, task_id: str, timeout: float | None) -> Record | None:
        """Suspend until the record is there, at most *timeout* seconds. It is pushed, not polled."""
        return await self._waiting.wait(task_id, timeout)

    def _take(self, channel: str, message: bytes) -> None:
        """A message came on the subscription."""
        if channel == self._waiting.channel:
            self._waiting.take(message)
        else:
            self._stream.take(channel, message)

    def _look_again(self) -> None:
        """Messages may have been lost."""
        self._waiting.look_again()
