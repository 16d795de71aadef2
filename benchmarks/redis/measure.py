"""What is measured of a peer: each time with fresh processes, on a server that was emptied before."""

from __future__ import annotations

import json
import random
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.redis.effects import Effects
from benchmarks.redis.peers import Entrant
from benchmarks.redis.processes import MeasurementError, Producer, Worker
from benchmarks.redis.server import Server
from benchmarks.rounds import output, time_imports

MANY, FEW = 100, 4
#: Tasks that a worker runs before it counts as ready.
WARM_UP = 10
#: The fewest tasks of a drain.
FEWEST = 100
#: Results that are read again after a drain.
CHECKED = 100
#: Seconds between two looks at what the tasks did.
LOOK = 0.002
#: Seconds without progress after which the rest counts as lost.
STALLED_AFTER = 20.0
#: Seconds that a worker has been idle when its commands begin to count.
SETTLED_AFTER = 2.0
#: Bytes of the argument of a task whose memory is measured.
ARGUMENT = 100
#: The imports that are timed, and what each is called.
IMPORTED = {"redis.asyncio": "redis.asyncio", "flowrra": "flowrra, flowrra.redis"}

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much of everything. Drains have each peer's own size, divided by *divisor*."""

    divisor: int = 1
    submitted: int = 3_000
    batched: int = 10_000
    filled: int = 20_000
    #: Latencies of Flowrra over all rounds: enough to show lost wake-ups.
    awaited: int = 10_000
    idle: float = 10.0
    imports: int = 15
    waiting: int = 1_000_000
    claims: int = 200


QUICK = Sizes(
    divisor=10, submitted=300, batched=1_000, filled=2_000, awaited=500, idle=2.0, imports=3, waiting=20_000,
    claims=20,
)  # fmt: skip


class Bench:
    """The rows, and what they share: a server, the environments, and what the tasks did."""

    def __init__(
        self, server: Server, folder: Path, pythons: Mapping[str, Path], sizes: Sizes, rounds: int
    ) -> None:
        self._server = server
        self._folder = folder
        self._pythons = pythons
        self._sizes = sizes
        self._rounds = rounds
        self._effects = Effects.create(folder / "effects")

    def drain(self, entrant: Entrant, task: str, slots: int) -> Figures:
        """Queue tasks and start a worker: from when the first begins until the last one's result is there."""
        count = self._count(entrant, task, slots)
        self._clear()
        with self._producer(entrant) as producer:
            producer("submit", task=task, count=count, batch=True)
            with self._worker(entrant, slots, task) as worker:
                self._await_ends(worker, count)
                [last] = self._effects.latest(count, 1)
                stored = producer("stored", number=last)["at"]
            sample = random.sample(range(count), CHECKED)
            wrong = producer("check", numbers=[last, *sample])["wrong"]
        if wrong:
            raise MeasurementError(f"results that are missing or wrong: {wrong[:3]}")
        return {"tasks": count, "rate": count / (stored - self._effects.first_began(count))}

    def ideal(self, entrant: Entrant, task: str, slots: int) -> Figures:
        """The same by asyncio alone."""
        count = self._count(entrant, task, slots)
        command = [*self._command(entrant, entrant.worker), str(count)]
        found = json.loads(output(entrant.name, command, self._variables(slots)))
        return {"tasks": count, "rate": count / found["seconds"]}

    def submit(self, entrant: Entrant) -> Figures:
        """Submit one by one, then in the quickest way, with nobody at work."""
        self._clear()
        with self._producer(entrant) as producer:

            def rate(count: int, batch: bool) -> float:
                producer("submit", task="noop", count=WARM_UP, batch=batch)
                seconds: float = producer("submit", task="noop", count=count, batch=batch)["seconds"]
                return count / seconds

            found = {"rate": rate(self._sizes.submitted, batch=False)}
            if entrant.batch:
                found["batched"] = rate(self._sizes.batched, batch=True)
        return found

    def latency(self, entrant: Entrant) -> Figures:
        """From submit to result, one at a time."""
        asked = max(20, entrant.asked // self._sizes.divisor)
        if entrant.wheels:
            asked = -(-self._sizes.awaited // self._rounds)
        self._clear()
        with self._producer(entrant) as producer, self._worker(entrant, MANY, "noop") as worker:
            self._warm_up(producer, worker)
            found = producer("latency", first=WARM_UP, count=asked)
            self._await_ends(worker, WARM_UP + asked)
        cuts = quantiles(found["seconds"], n=100, method="inclusive")
        return {"p50": cuts[49], "p99": cuts[98], "lost": found["lost"], "asked": asked}

    def memory(self, entrant: Entrant) -> Figures:
        """Bytes of Redis that a queued task takes, after its producer has gone."""
        self._clear()
        before = self._server.used_memory()
        with self._producer(entrant) as producer:
            producer("fill", size=ARGUMENT, count=self._sizes.filled)
        self._server.wait_alone()
        return {"bytes": (self._server.used_memory() - before) / self._sizes.filled}

    def idle(self, entrant: Entrant) -> Figures:
        """Commands per second of a worker that ran a few tasks and now waits, less the one that asks."""
        self._clear()
        with self._worker(entrant, MANY, "noop") as worker:
            with self._producer(entrant) as producer:
                self._warm_up(producer, worker)
            worker.wait(SETTLED_AFTER)
            before, start = self._server.commands(), time.monotonic()
            worker.wait(self._sizes.idle)
            return {"commands": (self._server.commands() - before - 1) / (time.monotonic() - start)}

    def imports(self, entrant: Entrant) -> Figures:
        """Seconds of each import, taken in turn."""
        found = time_imports(self._pythons[entrant.environment], IMPORTED, self._sizes.imports)
        return {name: median(seconds) for name, seconds in found.items()}

    def claims(self, entrant: Entrant) -> Figures:
        """Claims where as many tasks wait as are claimed, and where a million do; a server for each."""
        self._clear()
        with Server(self._folder) as crowded:
            sizes = (str(self._sizes.waiting), str(self._sizes.claims))
            command = [*self._command(entrant, "benchmarks.redis.claims"), self._server.url, crowded.url]
            found: dict[str, list[float]] = json.loads(output("claims", [*command, *sizes]))
        return {waiting: median(seconds) for waiting, seconds in found.items()}

    def _count(self, entrant: Entrant, task: str, slots: int) -> int:
        """Tasks for about as long with few slots as with many."""
        whole = entrant.drained if task == "noop" else entrant.slept
        return max(FEWEST, whole // self._sizes.divisor // (8 if slots == FEW else 1))

    def _clear(self) -> None:
        self._server.flush()
        self._effects.clear()

    def _producer(self, entrant: Entrant) -> Producer:
        command = f"benchmarks.redis.produce {entrant.adapter}"
        if entrant.uvloop_producer:
            command = f"benchmarks.redis.on_uvloop {command}"
        return Producer(self._command(entrant, command), self._variables(MANY), self._folder / "producer.log")

    def _worker(self, entrant: Entrant, slots: int, task: str) -> Worker:
        template = entrant.sleeper if task == "pause" and entrant.sleeper else entrant.worker
        command = template.format(slots=slots, few=min(slots, 8), url=self._server.url)
        return Worker(self._command(entrant, command), self._variables(slots), self._folder / "worker.log")

    def _command(self, entrant: Entrant, module: str) -> list[str]:
        return [str(self._pythons[entrant.environment]), "-m", *shlex.split(module)]

    def _variables(self, slots: int) -> dict[str, str]:
        return {
            "BENCHMARK_REDIS": self._server.url,
            "BENCHMARK_CONCURRENCY": str(slots),
            "BENCHMARK_EFFECTS": str(self._folder / "effects"),
        }

    def _warm_up(self, producer: Producer, worker: Worker) -> None:
        producer("submit", task="noop", count=WARM_UP, batch=False)
        self._await_ends(worker, WARM_UP)

    def _await_ends(self, worker: Worker, count: int) -> None:
        """Wait until each of *count* tasks has ended, once."""
        ended, moved = 0, time.monotonic()
        while ended < count:
            worker.wait(LOOK)
            before, ended = ended, self._effects.ended(count)
            if ended > before:
                moved = time.monotonic()
            elif time.monotonic() > moved + STALLED_AFTER:
                raise worker.failed(f"{count - ended} of {count} tasks were lost")
        if repeated := self._effects.repeated(count):
            raise MeasurementError(f"{repeated} of {count} tasks ran twice")
