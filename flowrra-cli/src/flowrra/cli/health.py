"""How a worker is: whether it is alive, and whether it is ready."""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import Any, Final

from flowrra.app import Flowrra
from flowrra.cli.probes import Answer, answer

#: Seconds without a claim, although there is room for tasks, after which a worker counts as stuck.
CLAIM_WITHIN: Final = 60.0
#: Seconds that the broker may take to answer.
ANSWER_WITHIN: Final = 2.0


class Phase(Enum):
    """Where a worker is in its life."""

    STARTING = "starting"
    WORKING = "working"
    DRAINING = "draining"


class Health:
    """What one worker answers to probes."""

    def __init__(self, app: Flowrra) -> None:
        self._app = app
        self.phase: Phase = Phase.STARTING

    async def live(self) -> Answer:
        """The loop turns, or nobody would answer; and tasks are claimed while there is room for them.

        A worker that waits for its broker is alive: starting it anew wouldn't help.
        """
        worker = self._app.engine.worker
        if worker is None or self.phase is Phase.STARTING:
            return answer(True, {"worker": None})
        age = time.monotonic() - worker.last_claim
        has_room = any(executor.room() > 0 for executor in self._app.executors.made.values())
        facts = {"worker": worker.name, "last_claim_seconds": round(age, 3), "running": len(worker.running)}
        return answer(age <= CLAIM_WITHIN or not has_room, facts)

    async def ready(self) -> Answer:
        """Started, not draining, and the broker answers."""
        started = self.phase is not Phase.STARTING
        answers = started and await self._broker_answers()
        facts: dict[str, Any] = {"started": started, "draining": self.phase is Phase.DRAINING}
        return answer(answers and self.phase is Phase.WORKING, {**facts, "broker": answers})

    async def _broker_answers(self) -> bool:
        admin = self._app.engine.connections.broker.admin
        if admin is None:
            worker = self._app.engine.worker
            return worker is not None and time.monotonic() - worker.last_claim <= CLAIM_WITHIN
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await admin.find(["health"])
        except Exception:
            return False
        return True
