"""What an operator is told, and what orders do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import shared_broker
from fake_clock import FakeClock
from shared_broker import SharedBackend, SharedBroker

from flowrra import (
    BrokerConfig,
    Config,
    ConfigError,
    ExecutorConfig,
    Flowrra,
    TaskCancelledError,
    TaskNotFoundError,
    TaskStatus,
    UnsupportedError,
    discovery,
)
from flowrra.management import Counted, FlowrraManager, RunPlace
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.message import Record, Settlement, Verdict
from flowrra.reports import RunFilter, WorkerBeat


@dataclass
class Site:
    """An application with a worker, and what its tasks wait for."""

    app: Flowrra
    clock: FakeClock
    manager: FlowrraManager
    gate: asyncio.Event
    tasks: dict[str, Any]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """``add`` returns, ``fail`` fails, ``hold`` waits for the gate, ``later`` is in another queue."""
    clock = FakeClock()
    app = Flowrra(Config(executor=ExecutorConfig(num_workers=2, max_retries=0)), clock=clock)
    gate = asyncio.Event()

    @app.task(priority=5, timeout=9)
    async def add(a: int, b: int) -> int:
        """Add two numbers.

        At length.
        """
        return a + b

    @app.task(max_retries=1, retry_delay=100)
    async def fail() -> None:
        raise ValueError("no luck")

    @app.task()
    async def hold() -> str:
        await gate.wait()
        return "held"

    @app.task(queue="other")
    async def later() -> None: ...

    tasks = {"add": add, "fail": fail, "hold": hold, "later": later}
    yield Site(app, clock, FlowrraManager(app), gate, tasks)
    gate.set()
    await app.stop(wait=False)


@pytest.fixture
def shared_url() -> Iterator[str]:
    """A server with a queue and records."""
    discovery.brokers.register("shared", SharedBroker)
    discovery.backends.register("shared", SharedBackend)
    yield shared_broker.new_url()
    discovery.brokers.unregister("shared")
    discovery.backends.unregister("shared")


async def busy(site: Site) -> dict[str, str]:
    """Start, and have a run in every place but among the dead."""
    await site.app.start()
    ids = {
        "done": (await site.tasks["add"].submit(1, 2)).id,
        "retrying": (await site.tasks["fail"].submit()).id,
    }
    await site.clock.settle()
    ids |= {name: (await site.tasks["hold"].submit()).id for name in ("first", "second")}
    await site.clock.settle()
    ids["waiting"] = (await site.tasks["hold"].submit()).id
    ids["delayed"] = (await site.tasks["later"].options(delay=500).submit()).id
    await site.clock.settle()
    return ids


async def make_dead(site: Site, number: int = 1) -> list[str]:
    """Tasks that count as dead, with a record each; the application isn't started."""
    ids = [(await site.tasks["add"].submit(n, n)).id for n in range(number)]
    connections = site.app.engine.connections
    claim = await connections.broker.claim(["default"], {"io": number}, 30, "w")
    deaths = [
        Settlement(each.receipt, Verdict.DEAD, _record(each, site.clock), reason="died too often")
        for each in claim.deliveries
    ]
    assert await connections.settler.settle(deaths) == [True] * number
    return ids


def _record(delivery: Any, clock: FakeClock) -> Record:
    return Record(
        delivery.message, TaskStatus.FAILED, delivery.receipt.fence, delivery.submitted_at, clock.time(),
        dead_reason="died too often",
    )  # fmt: skip


async def test_runs_of_all_places_come_in_pages(site: Site) -> None:
    """Those at work first, then what waits, then what is delayed, then what has ended; each once."""
    ids = await busy(site)
    seen: list[tuple[str, TaskStatus]] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = await site.manager.runs(limit=2, cursor=cursor)
        assert len(page.runs) <= 2
        seen += [(run.task_id, run.status) for run in page.runs]
        cursor, pages = page.next, pages + 1

    assert seen == [
        (ids["first"], TaskStatus.RUNNING),
        (ids["second"], TaskStatus.RUNNING),
        (ids["waiting"], TaskStatus.PENDING),
        (ids["retrying"], TaskStatus.RETRYING),
        (ids["delayed"], TaskStatus.SCHEDULED),
        (ids["done"], TaskStatus.SUCCESS),
    ]


@pytest.mark.parametrize(
    ("place", "names"),
    [
        (RunPlace.RUNNING, ["first", "second"]),
        (RunPlace.WAITING, ["waiting"]),
        (RunPlace.DELAYED, ["retrying", "delayed"]),
        (RunPlace.FINISHED, ["done"]),
        (RunPlace.DEAD, []),
    ],
)
async def test_runs_of_one_place(site: Site, place: RunPlace, names: list[str]) -> None:
    ids = await busy(site)

    page = await site.manager.runs(place=place)

    assert [run.task_id for run in page.runs] == [ids[name] for name in names]
    assert page.next is None


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (RunFilter(task="hold"), ["first", "second", "waiting"]),
        (RunFilter(queue="other"), ["delayed"]),
        (RunFilter(queue="nowhere"), []),
        (RunFilter(statuses=frozenset({TaskStatus.RETRYING, TaskStatus.SUCCESS})), ["retrying", "done"]),
        (RunFilter(since=0.0), ["done"]),
        (RunFilter(dead=True), []),
        (RunFilter(worker="somebody"), []),
    ],
)
async def test_runs_by_filter(site: Site, where: RunFilter, names: list[str]) -> None:
    ids = await busy(site)

    found = [run.task_id for run in (await site.manager.runs(where)).runs]

    assert found == [ids[name] for name in names]
    by_prefix = await site.manager.runs(RunFilter(id_prefix=ids["waiting"]))
    assert [run.task_id for run in by_prefix.runs] == [ids["waiting"]]


async def test_a_page_looks_at_a_bounded_number_of_tasks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is rare is found all the same, over more pages."""
    monkeypatch.setattr("flowrra.management.listing.SCANNED", 10)
    for number in range(35):
        await site.tasks["add"].submit(number, 0)
    wanted = await site.tasks["hold"].options(priority=9).submit()
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await site.manager.runs(RunFilter(task="hold"), limit=5, cursor=cursor)
        found += page.runs
        cursor, pages = page.next, pages + 1

    assert [run.task_id for run in found] == [wanted.id]
    assert pages >= 4


async def test_a_cursor_from_elsewhere_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match="'abc' is no cursor"):
        await site.manager.runs(cursor="abc")


async def test_a_run_whose_bytes_are_damaged_is_listed(site: Site) -> None:
    """With what is known of it, and why the rest is not."""
    ids = await busy(site)
    connections = site.app.engine.connections
    [record] = await connections.backend.get([ids["done"]])
    assert record is not None
    await connections.backend.store([record._replace(value=b"{")])

    [run] = (await site.manager.runs(place=RunPlace.FINISHED)).runs

    assert (run.task_id, run.task_name, run.status) == (ids["done"], "add", TaskStatus.SUCCESS)
    assert (run.error or "").startswith("DecodingError: ")


async def test_one_run(site: Site) -> None:
    ids = await busy(site)

    run = await site.manager.run(ids["done"])

    assert run is not None
    assert (run.result, run.args) == (3, (1, 2))
    assert await site.manager.run("unknown") is None


async def test_everything_at_a_glance(site: Site) -> None:
    await busy(site)

    stats = await site.manager.stats()

    assert (stats.tasks, stats.queues, stats.ready, stats.delayed, stats.running) == (4, 2, 1, 2, 2)
    assert (stats.dead, stats.workers, stats.lost_workers) == (0, 1, 0)
    assert stats.finished == Counted(success=1)
    assert (await site.manager.stats(window=0.0)).window == 0.0


async def test_the_registered_tasks(site: Site) -> None:
    await busy(site)

    tasks = {task.name: task for task in await site.manager.tasks()}

    add = tasks["add"]
    assert sorted(tasks) == ["add", "fail", "hold", "later"]
    assert (add.kind, add.queue, add.priority, add.timeout, add.max_retries) == ("io", "default", 5, 9, 0)
    assert add.description == "Add two numbers."
    assert add.path.endswith(".add")
    assert (tasks["fail"].max_retries, tasks["fail"].retry_delay) == (1, 100)
    assert (add.finished, tasks["hold"].finished) == (Counted(success=1), Counted())


async def test_queues_that_tasks_name_are_listed_though_empty(site: Site) -> None:
    await site.tasks["add"].submit(1, 2)

    assert [(queue.queue, queue.ready) for queue in await site.manager.queues()] == [
        ("default", 1),
        ("other", 0),
    ]


async def test_a_queue_is_paused_and_resumed(site: Site) -> None:
    await site.app.start()
    await site.manager.pause("default")
    handle = await site.tasks["add"].submit(1, 2)
    await site.clock.settle()
    assert [queue.paused for queue in await site.manager.queues()] == [True, False]
    assert await handle.status() is TaskStatus.PENDING

    await site.manager.resume("default")

    assert await handle.result() == 3


async def test_purging_spares_what_runs(site: Site) -> None:
    ids = await busy(site)

    assert await site.manager.purge("default") == 2
    runs = {run.task_id: run for run in (await site.manager.runs(RunFilter(queue="default"))).runs}
    assert runs[ids["first"]].status is runs[ids["second"]].status is TaskStatus.RUNNING
    assert runs[ids["done"]].is_success
    assert [run.error for run in runs.values() if run.status is TaskStatus.CANCELLED] == ["purged", "purged"]


async def test_who_waits_for_a_purged_task_hears_of_it(site: Site) -> None:
    handle = await site.tasks["add"].submit(1, 2)
    waiting = asyncio.ensure_future(handle.result())
    await site.clock.settle()

    await site.manager.purge("default")

    with pytest.raises(TaskCancelledError, match="purged"):
        await waiting


async def test_workers_and_who_was_lost(site: Site) -> None:
    await site.app.start()
    await site.clock.settle()
    board = site.app.engine.connections.backend.board
    assert board is not None
    now = site.clock.time()
    gone = WorkerBeat(name="zz", host="h", pid=1, started_at=0, beat_at=now - 16, queues=None, slots={})
    await board.beat(gone, 15)

    workers = await site.manager.workers()

    assert [worker.lost for worker in workers] == [False, True]
    assert workers[0].beat.slots["io"] == 2


async def test_dead_runs_are_requeued_under_their_ids(site: Site) -> None:
    """The record of the first life is gone before the second begins, so that waiters wait for that."""
    [dead] = await make_dead(site)
    page = await site.manager.dead()
    assert [(run.task_id, run.dead_reason) for run in page.runs] == [(dead, "died too often")]
    assert (await site.manager.dead("other")).runs == []

    assert await site.manager.requeue([dead, "unknown"]) == [True, False]

    assert (await site.manager.dead()).runs == []
    await site.app.start()
    assert (await site.app.wait_for_result(dead)).result == 0


async def test_many_dead_runs_on_a_server_are_requeued_in_three_round_trips(shared_url: str) -> None:
    app = Flowrra(broker=shared_url)
    one = app.task("one")(lambda: 1)
    async with app:
        pass
    await app.start(workers=False)
    ids = [(await one.submit()).id for _ in range(50)]
    connections = app.engine.connections
    claim = await connections.broker.claim(["default"], {"thread": 40}, 30, "w")
    deaths = [
        Settlement(each.receipt, Verdict.DEAD, _record(each, FakeClock()), reason="died")
        for each in claim.deliveries
    ]
    await connections.settler.settle(deaths)
    calls = shared_broker.servers[shared_url].calls
    calls.clear()

    manager = FlowrraManager(app)
    assert await manager.requeue([*ids, "unknown"]) == [True] * 40 + [False] * 11
    assert {name: len(made) for name, made in calls.items()} == {"find": 1, "delete": 1, "requeue": 1}
    calls.clear()
    assert await manager.requeue([*ids, "unknown"]) == [False] * 51
    assert {name: len(made) for name, made in calls.items()} == {"find": 1}
    await app.stop()
    async with app:
        assert [(await app.wait_for_result(task_id, 10)).result for task_id in ids] == [1] * 50


async def test_without_a_history_dead_runs_stay_dead_and_can_be_retried() -> None:
    """The record of the first life could not be forgotten, and would pass for the result of the second."""
    backend = PlainBackend()
    app = Flowrra(backend=backend)
    add = app.task("add")(lambda: 1)
    await app.start(workers=False)
    handle = await add.submit()
    connections = app.engine.connections
    [delivery] = (await connections.broker.claim(["default"], {"thread": 1}, 30, "w")).deliveries
    death = Settlement(delivery.receipt, Verdict.DEAD, _record(delivery, FakeClock()), reason="died")
    assert await connections.settler.settle([death]) == [True]
    manager = FlowrraManager(app)
    with pytest.raises(UnsupportedError, match="PlainBackend can't forget why a task was dead"):
        await manager.requeue([handle.id])
    assert [run.task_id for run in (await manager.dead()).runs] == [handle.id]
    again = await manager.retry(handle.id)
    await app.stop()
    async with app:
        assert (await app.wait_for_result(again, 10)).result == 1


async def test_a_finished_run_is_not_requeued_and_keeps_its_record(site: Site) -> None:
    await site.app.start()
    handle = await site.tasks["add"].submit(1, 2)
    await handle.result()

    assert await site.manager.requeue([handle.id]) == [False]
    assert await handle.result() == 3


async def test_finished_runs_are_repeated_and_deleted(site: Site) -> None:
    ids = await busy(site)
    site.gate.set()

    again = await site.manager.retry(ids["done"])
    run = await site.app.wait_for_result(again)

    assert (run.result, run.retry_of) == (3, ids["done"])
    assert await site.manager.delete([ids["done"], ids["delayed"]]) == 1
    assert await site.manager.run(ids["done"]) is None
    with pytest.raises(TaskNotFoundError):
        await site.manager.retry(ids["done"])


async def test_a_waiting_run_is_cancelled(site: Site) -> None:
    ids = await busy(site)

    assert await site.manager.cancel(ids["waiting"])
    run = await site.manager.run(ids["waiting"])
    assert run is not None
    assert run.status is TaskStatus.CANCELLED


class PlainBroker(MemoryBroker):
    """A broker with the mandatory part alone."""

    @property
    def admin(self) -> None:
        return None


class PlainBackend(MemoryBackend):
    """A backend with the mandatory part alone."""

    history = board = stream = None  # type: ignore[assignment]


async def test_what_a_broker_cannot_do_is_said() -> None:
    manager = FlowrraManager(Flowrra(broker=PlainBroker()))

    for order in (
        manager.queues(),
        manager.pause("q"),
        manager.purge("q"),
        manager.requeue(["x"]),
        manager.dead(),
    ):
        with pytest.raises(UnsupportedError, match="PlainBroker can't"):
            await order
    assert (await manager.runs()).runs == []
    assert (await manager.stats()).ready is None


async def test_what_a_backend_cannot_do_is_said() -> None:
    app = Flowrra(backend=PlainBackend())

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    manager = FlowrraManager(app)
    await add.submit(1, 2)

    finished = manager.runs(place=RunPlace.FINISHED)
    for order in (manager.workers(), manager.delete(["x"]), manager.requeue(["x"]), finished):
        with pytest.raises(UnsupportedError, match="PlainBackend can't"):
            await order
    assert len((await manager.runs()).runs) == 1
    assert (await manager.stats()).finished is None
    assert (await manager.tasks())[0].finished is None


async def test_neither_can_list_runs() -> None:
    manager = FlowrraManager(Flowrra(broker=PlainBroker(), backend=PlainBackend()))

    with pytest.raises(UnsupportedError, match="can't list tasks"):
        await manager.runs()


def test_questions_may_be_asked_from_any_loop() -> None:
    """Before the application is started, too."""
    app = Flowrra(Config(broker=BrokerConfig("memory://")))

    assert asyncio.run(FlowrraManager(app).queues()) == []
    assert asyncio.run(FlowrraManager(app).stats()).workers == 0
