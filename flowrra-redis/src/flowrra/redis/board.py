"""Workers' signs of life, kept on the server."""

from __future__ import annotations

import json
from typing import Any, Final

from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.runs import microseconds
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server
from flowrra.reports import WorkerBeat

#: What all keys of the board begin with; a cluster keeps them together.
WORKERS_KEY: Final = "flowrra:{workers}:"

#: Seconds after which a lost worker leaves the board.
LOST_FOR: Final = 3600.0

_BEAT: Final = Script("beat", "clock", "board", "beat")
_WORKERS: Final = Script("workers", "clock", "board", "workers")


class RedisBoard:
    """Remembers the newest beat of each worker, by the server's clock."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def beat(self, worker: WorkerBeat, ttl: float) -> None:
        """Show *worker* as alive."""
        shown = microseconds(ttl + LOST_FOR)
        said = json.dumps(worker._asdict(), separators=(",", ":"))
        await self._server.run(Role.COMMAND, [Call(_BEAT, (WORKERS_KEY,), (worker.name, said, shown))])

    async def leave(self, name: str) -> None:
        """Take a worker off the board."""
        calls = [
            Plain(("ZREM", WORKERS_KEY + "until", name), WORKERS_KEY),
            Plain(("HDEL", WORKERS_KEY + "beats", name), WORKERS_KEY),
        ]
        await self._server.run(Role.COMMAND, calls)

    async def workers(self) -> list[WorkerBeat]:
        """Everyone, by name."""
        said = (await self._server.run(Role.COMMAND, [Call(_WORKERS, (WORKERS_KEY,))]))[0]
        return sorted(map(_read, said), key=lambda beat: beat.name)


def _read(said: bytes) -> WorkerBeat:
    """A beat as its worker sent it."""
    fields: dict[str, Any] = json.loads(said)
    queues = fields["queues"]
    fields |= {"queues": None if queues is None else tuple(queues), "running": tuple(fields["running"])}
    return WorkerBeat(**{name: fields[name] for name in WorkerBeat._fields if name in fields})
