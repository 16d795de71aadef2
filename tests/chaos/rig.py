"""Worker processes on a real Redis, what they did, and whether anything was lost or happened twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import chaos_jobs
from chaos_jobs import JOURNAL, Note

from flowrra import BackendConfig, BrokerConfig, Config, ExecutorConfig, Flowrra
from flowrra.exceptions import TransientError
from flowrra.management import FlowrraManager
from flowrra.message import Record
from flowrra.serialization import decode_value
from flowrra.status import TaskStatus

#: Seconds of the leases.
LEASE = 1.0
#: Seconds that one test may wait in all: less than the runner's limit, which would leave processes behind.
PATIENCE = 50.0 if os.environ.get("FLOWRRA_SOAK") != "1" else 3000.0
#: How many ids to ask for at once.
PAGE = 1000

HERE = Path(__file__).parent


class WorkerProcess:
    """``flowrra worker``, started; its log is a file."""

    def __init__(self, command: Sequence[str], log: Path, environ: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, cwd=log.parent, env=environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self.pid = self.process.pid

    @property
    def is_up(self) -> bool:
        """Whether it has started and obeys signals."""
        return "Ctrl-C ends it" in self.said()

    @property
    def code(self) -> int | None:
        """Its exit code, once it has ended; negative for a signal."""
        return self.process.poll()

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text()

    def send(self, number: signal.Signals) -> float:
        """Send a signal; the moment, in monotonic seconds."""
        self.process.send_signal(number)
        return time.monotonic()

    def kill(self) -> float:
        """End it by SIGKILL; the moment, in monotonic seconds."""
        self.process.kill()
        moment = time.monotonic()
        self.process.wait()
        return moment


@dataclass(frozen=True)
class Outcome:
    """What became of tasks. A test says which of it must be empty."""

    #: Acknowledged, but without a final record.
    lost: set[str]
    #: Succeeded, but not with the token of an execution that had its effect.
    invented: set[str]
    #: Accepted more often than once.
    accepted_twice: set[str]
    #: Final, but never submitted.
    unexpected: set[str]
    #: How often each task was executed beyond its first time.
    repeated: Counter[str]
    #: Tasks that a queue still holds, dead ones aside.
    left: int
    #: The final records, by id.
    records: dict[str, Record]

    def assert_exactly_one_result(self) -> None:
        """Nothing lost, nothing accepted twice, nothing out of nowhere, nothing left."""
        faults = {
            name: sorted(found)[:5]
            for name in ("lost", "invented", "accepted_twice", "unexpected")
            if (found := getattr(self, name))
        }
        statuses = {record.status.value for record in self.records.values()}
        assert not faults, f"{faults}"
        assert self.left == 0, f"{self.left} tasks wait or run"
        assert statuses <= {TaskStatus.SUCCESS.value}, f"{statuses}"


class Rig:
    """One application on the server at *url*: a producer here, workers in processes. For ``async with``.

    ``app`` submits and asks; ``manager`` is an operator's view. *settings* are those of ``BrokerConfig``.
    """

    def __init__(self, folder: Path, url: str, *, backend_url: str | None = None, **settings: Any) -> None:
        self.folder = folder
        self.journal = folder / "journal"
        self.config = Config(
            broker=BrokerConfig(**{"url": url, "lease": LEASE} | settings),
            backend=BackendConfig(url=backend_url or url),
            executor=ExecutorConfig(num_workers=4, cpu_workers=1),
        )
        self.app: Flowrra = chaos_jobs.make_app(self.config)
        self.manager = FlowrraManager(self.app)
        self.workers: list[WorkerProcess] = []
        self._notes: list[Note] = []
        self._read = 0
        self._end = time.monotonic() + PATIENCE

    async def __aenter__(self) -> Self:
        await self.app.start(workers=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.kill()
        await self.app.stop()
        if isinstance(error, Exception):
            error.add_note(self.report())

    def start_worker(
        self,
        target: str = "chaos_jobs:make_app()",
        *,
        concurrency: int = 4,
        drain: float = 30.0,
        broker_url: str | None = None,
        backend_url: str | None = None,
    ) -> WorkerProcess:
        """Start ``flowrra worker`` and return at once. It reaches the servers by other URLs if told so."""
        command = [
            sys.executable, "-W", "error", "-c", "from flowrra.cli.main import main; main()",
            "worker", target, "--concurrency", str(concurrency), "--drain", str(drain),
        ]  # fmt: skip
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = WorkerProcess(command, log, self.environ(broker_url, backend_url))
        self.workers.append(worker)
        return worker

    async def start_workers(self, count: int, **how: Any) -> list[WorkerProcess]:
        """Start workers, as ``start_worker`` does, and wait until they are up."""
        workers = [self.start_worker(**how) for _ in range(count)]
        await self.until(lambda: all(worker.is_up for worker in workers))
        return workers

    @asynccontextmanager
    async def keep_workers(self, count: int, **how: Any) -> AsyncIterator[list[WorkerProcess]]:
        """Have so many workers all the time: one that dies is replaced at once, in its place in the list."""
        workers = await self.start_workers(count, **how)

        async def replace_the_dead() -> None:
            while True:
                for seat, worker in enumerate(workers):
                    if worker.code is not None:
                        workers[seat] = self.start_worker(**how)
                await asyncio.sleep(0.01)

        keeping = asyncio.create_task(replace_the_dead())
        try:
            yield workers
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def submit(self, task: str, count: int, *args: Any, **options: Any) -> list[str]:
        """Submit a task so many times; the ids."""
        signature = self.app.find_task(task).options(**options).signature(*args)
        return [handle.id for handle in await self.app.submit_many([signature] * count)]

    def notes(self, kind: str | None = None, ids: Iterable[str] | None = None) -> list[Note]:
        """What the journal says so far, in order: of one kind, of some tasks, or all."""
        if self.journal.exists():
            with self.journal.open("rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._notes += [Note.parse(line) for line in whole.decode().splitlines()]
            self._read += len(whole) + len(newline)
        wanted = None if ids is None else set(ids)
        return [
            note for note in self._notes
            if (kind is None or note.kind == kind) and (wanted is None or note.id in wanted)
        ]  # fmt: skip

    def busy(self, workers: Iterable[WorkerProcess]) -> list[WorkerProcess]:
        """Those of the workers that live and in which a task has begun and not ended."""
        ended = {note.token for note in self.notes("end")}
        pids = {note.pid for note in self.notes("begin") if note.token not in ended}
        return [worker for worker in workers if worker.pid in pids and worker.code is None]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for *condition*, which another process brings about."""

        async def met() -> bool:
            return bool(condition())

        await self.until_answer(met)

    async def until_answer(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for *condition*, which asks the server. A server that doesn't answer is asked again."""
        async with asyncio.timeout(max(0.0, self._end - time.monotonic())):
            while True:
                with suppress(TransientError):
                    if await condition():
                        return
                await asyncio.sleep(0.01)

    async def until_done(self) -> None:
        """Wait until no queue holds a task, dead ones aside."""

        async def is_done() -> bool:
            return await self.left() == 0

        await self.until_answer(is_done)

    async def left(self) -> int:
        """How many tasks wait or run."""
        return sum(each.ready + each.delayed + each.leased for each in await self.manager.queues())

    async def records(self, ids: Sequence[str]) -> dict[str, Record]:
        """The final records of those tasks that have one."""
        backend = self.app.engine.connections.backend
        found: dict[str, Record] = {}
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            found |= {each.message.id: each for each in await backend.get(page) if each is not None}
        return found

    async def outcome(self, ids: Sequence[str]) -> Outcome:
        """What became of all tasks of this rig, which are those with *ids*."""
        records = await self.records(ids)
        values = {each.message.id: decode_value(each.value) for each in records.values() if each.value}
        effects = {(note.id, note.token) for note in self.notes("end")}
        executed = Counter(note.id for note in self.notes("begin"))
        return Outcome(
            lost=set(ids) - set(records),
            invented={task_id for task_id, token in values.items() if (task_id, token) not in effects},
            accepted_twice=await self._accepted_twice(ids),
            unexpected={note.id for note in self.notes("accepted")} - set(ids),
            repeated=Counter({task_id: times - 1 for task_id, times in executed.items() if times > 1}),
            left=await self.left(),
            records=records,
        )  # fmt: skip

    async def _accepted_twice(self, ids: Sequence[str]) -> set[str]:
        """By what workers were told; and the backend counts a run whenever it takes a record."""
        told = Counter(note.id for note in self.notes("accepted"))
        twice = {task_id for task_id, times in told.items() if times > 1}
        finished = (await self.manager.stats()).finished
        assert finished is not None
        counted = finished.success + finished.failed + finished.cancelled
        return twice or ({f"{counted} records of {len(ids)} tasks"} if counted > len(ids) else set())

    def report(self) -> str:
        """The ends of the workers' logs, for whoever looks into a failure."""
        logs = (f"{worker.log.name} ({worker.code}):\n{worker.said()[-1500:]}" for worker in self.workers)
        return "\n".join(logs)

    def environ(self, broker_url: str | None = None, backend_url: str | None = None) -> dict[str, str]:
        """The environment of a process that makes the application by ``Config.from_env``."""
        broker, backend = self.config.broker, self.config.backend
        assert broker is not None
        assert backend is not None
        broker, backend = (
            replace(broker, url=broker_url or broker.url),
            replace(backend, url=backend_url or backend.url),
        )
        own = {
            f"FLOWRRA_{section}_{name.upper()}": str(value)
            for section, settings in (
                ("BROKER", broker),
                ("BACKEND", backend),
                ("EXECUTOR", self.config.executor),
            )
            for name, value in vars(settings).items()
            if value is not None
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRRA_")}
        return inherited | own | {"PYTHONPATH": str(HERE), JOURNAL: str(self.journal), "COLUMNS": "80"}
