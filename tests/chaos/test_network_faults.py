"""A bad network between workers, producers and Redis: nothing lost, nothing twice, nobody stuck."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from proxy import Proxy
from rig import Rig, WorkerProcess
from servers import RedisServer

from flowrra.exceptions import TransientError
from flowrra.message import Delivery, Message, Settlement, Verdict
from flowrra.worker.running import cancel

#: Seconds within which work goes on after the network is well again.
GOES_ON = 5.0
#: Seconds by which a call may be late on a busy machine.
SLACK = 1.0
#: Nobody may have to wait for the end of such a lease.
LONG_LEASE = 600.0


@pytest.fixture
async def line(chaos_server: RedisServer) -> AsyncIterator[Proxy]:
    """A network before the empty server."""
    with chaos_server.client() as client:
        client.flushall()
    async with Proxy(chaos_server.port) as proxy:
        yield proxy


@asynccontextmanager
async def rig_behind(line: Proxy, folder: Path, server: RedisServer, **settings: Any) -> AsyncIterator[Rig]:
    """A rig whose producer is behind the line."""
    async with Rig(folder, server.url(port=line.port), **settings) as rig:
        yield rig


def behind(line: Proxy, server: RedisServer) -> dict[str, str]:
    """How to start a worker behind the line."""
    url = server.url(port=line.port)
    return {"broker_url": url, "backend_url": url}


def messages(rig: Rig, count: int) -> list[Message]:
    task = rig.app.find_task("work")
    return [rig.app.engine.message(task, (), {}, task.defaults) for _ in range(count)]


def maybe_lose(line: Proxy) -> None:
    """Lose one of twenty answers, the next one."""
    line.drops = int(random.random() < 0.05)


async def losing(line: Proxy) -> None:
    """Lose answers, whosever they are, now and then."""
    while True:
        await asyncio.sleep(0.02)
        line.drops = int(random.random() < 0.3)


async def cutting(line: Proxy) -> None:
    """Reset all connections, ten times a second."""
    while True:
        await asyncio.sleep(0.1)
        line.cut()


@asynccontextmanager
async def meanwhile(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_lost_answers_make_no_duplicates_and_lose_no_task(
    line: Proxy, chaos_server: RedisServer, tmp_path: Path, soaked: Callable[[int], int]
) -> None:
    """Neither of the way in, nor of claims, nor of outcomes; and no task waits for the end of its lease."""
    count = soaked(10_000)
    async with rig_behind(line, tmp_path, chaos_server, lease=LONG_LEASE) as rig:
        sent = messages(rig, count)
        position = 0
        while position < count:
            some = sent[position : position + random.choice([1, 1, 1, 2, 10])]
            maybe_lose(line)
            assert await rig.app.engine.enqueue(some) == [message.id for message in some]
            position += len(some)
        assert await rig.left() == count

        broker = rig.app.engine.connections.broker
        deliveries: list[Delivery] = []
        while len(deliveries) < count:
            maybe_lose(line)
            claim = await broker.claim(["default"], {"io": random.choice([1, 4, 20])}, LONG_LEASE, "worker")
            assert claim.deliveries
            deliveries += claim.deliveries
        assert [delivery.message.id for delivery in deliveries] == [message.id for message in sent]

        assert await settle_over(line, rig, deliveries) == [True] * count
        assert await rig.left() == 0
        assert len(await rig.records([message.id for message in sent])) == count
        finished = (await rig.manager.stats()).finished
        assert finished is not None
        assert finished.cancelled == count
    assert line.connections > count // 100


async def settle_over(line: Proxy, rig: Rig, deliveries: list[Delivery]) -> list[bool]:
    """Settle some together; what was retried is claimed again and settled too."""
    connections = rig.app.engine.connections
    answers: list[bool] = []
    for start in range(0, len(deliveries), 20):
        some = deliveries[start : start + 20]
        maybe_lose(line)
        retried = [Settlement(delivery.receipt, Verdict.RETRY) for delivery in some[:2]]
        assert all(await connections.settler.settle(retried))
        maybe_lose(line)
        again = await connections.broker.claim(["default"], {"io": 20}, LONG_LEASE, "worker")
        maybe_lose(line)
        ended = [cancel(delivery, "ended") for delivery in [*again.deliveries, *some[2:]]]
        answers += await connections.settler.settle(ended)
    return answers


@pytest.mark.parametrize("two_steps", [False, True])
async def test_lost_answers_are_nothing_to_workers(
    line: Proxy, chaos_server: RedisServer, tmp_path: Path, two_steps: bool
) -> None:
    """Tasks run once, and what comes of them is accepted."""
    with RedisServer() as other:
        results = other.url() if two_steps else chaos_server.url()
        async with Rig(tmp_path, chaos_server.url(), backend_url=results, lease=LONG_LEASE) as rig:
            way = behind(line, chaos_server)
            await rig.start_workers(2, **(way | ({"backend_url": results} if two_steps else {})))
            async with meanwhile(losing(line)):
                ids = await rig.submit("work", 200, 0.02)
                ids += await rig.submit("stumble", 20, 0.02, 1)
                await rig.until_done()
            outcome = await rig.outcome(ids)

            outcome.assert_exactly_one_result()
            assert sum(outcome.repeated.values()) == 20
            assert "refused" not in "".join(worker.said() for worker in rig.workers)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_connections_that_are_reset_all_the_time(
    line: Proxy, chaos_server: RedisServer, tmp_path: Path, soaked: Callable[[int], int]
) -> None:
    async with rig_behind(line, tmp_path, chaos_server, lease=LONG_LEASE) as rig:
        await rig.start_workers(2)
        ids: list[str] = []

        async def ask(times: int) -> None:
            for _ in range(times):
                new = await rig.submit("work", 10, 0.02)
                ids.extend(new)
                assert (await rig.app.wait_for_result(new[-1], 30)).is_success

        async with meanwhile(cutting(line)):
            await asyncio.gather(*(ask(soaked(5000) // 100) for _ in range(10)))
            await rig.until_done()
        outcome = await rig.outcome(ids)

        assert {worker.code for worker in rig.workers} == {None}
    outcome.assert_exactly_one_result()
    assert not outcome.repeated


async def test_a_slow_network_costs_no_lease(line: Proxy, chaos_server: RedisServer, tmp_path: Path) -> None:
    """Although another worker looks for work all the time, from near."""
    line.latency, line.bandwidth = 0.1, 64 * 1024  # 0.2 s there and back
    async with Rig(tmp_path, chaos_server.url(), lease=3.0) as rig:
        [far] = await rig.start_workers(1, **behind(line, chaos_server))
        ids = await rig.submit("work", 4, 6.5)
        await rig.until(lambda: len(rig.notes("begin")) == 4)
        [near] = await rig.start_workers(1)
        ids += await rig.submit("work", 100, 0.01)
        await rig.until_done()
        outcome = await rig.outcome(ids)

        assert {note.pid for note in rig.notes(ids=ids[:4])} == {far.pid}
        for trouble in ("was lost", "refused"):
            assert trouble not in far.said() + near.said()
    outcome.assert_exactly_one_result()
    assert not outcome.repeated


async def test_bytes_that_come_one_by_one(line: Proxy, chaos_server: RedisServer, tmp_path: Path) -> None:
    line.slice = 1
    async with rig_behind(line, tmp_path, chaos_server, lease=LONG_LEASE) as rig:
        await rig.start_workers(1)
        ids = await rig.submit("work", 20)
        for task_id in ids:
            assert (await rig.app.wait_for_result(task_id, 30)).is_success
        outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    assert not outcome.repeated


async def test_silence_is_an_error_in_time_and_over_when_it_is_over(
    line: Proxy, chaos_server: RedisServer, tmp_path: Path
) -> None:
    """With ordinary settings: producers aren't kept, and workers go on, idle ones too."""
    async with rig_behind(line, tmp_path, chaos_server, lease=30.0) as rig:
        await rig.start_workers(1)
        ids = await rig.submit("work", 4, 1)
        await rig.start_workers(1)
        await rig.until(lambda: len(rig.notes("begin")) == 4)
        line.mode = "blackhole"
        async with asyncio.timeout(5.0 + SLACK):
            with pytest.raises(
                TransientError, match=r"can't be reached: it gave no answer.*Check that it runs"
            ):
                await rig.app.submit("work")
        line.mode = "pass"
        healed = time.monotonic()
        ids += await rig.submit("work", 100, 0.1)
        async with asyncio.timeout(GOES_ON + SLACK):
            await rig.until(lambda: {n.pid for n in rig.notes("end") if n.at > healed} == pids(rig))
        await rig.until_done()
        outcome = await rig.outcome(ids)
    assert outcome.lost == outcome.accepted_twice == outcome.invented == set()


async def test_an_unanswered_wait_keeps_nobody(
    line: Proxy, chaos_server: RedisServer, tmp_path: Path
) -> None:
    """An idle worker whose sleep is swallowed with what would have woken it wakes all the same."""
    async with Rig(tmp_path, chaos_server.url(), lease=LONG_LEASE) as rig:
        await rig.start_workers(1, **behind(line, chaos_server))
        await rig.submit("work", 1)
        await rig.until_done()
        line.mode = "blackhole"
        ids = await rig.submit("work", 1)
        await asyncio.sleep(0.5)
        line.mode = "pass"
        async with asyncio.timeout(GOES_ON + SLACK):
            await rig.until(lambda: rig.notes("end", ids))


def pids(rig: Rig) -> set[int]:
    return {worker.pid for worker in rig.workers}


def cpu_seconds(worker: WorkerProcess) -> float:
    """What a process has used of the processor."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_megabytes(worker: WorkerProcess) -> float:
    """What a process has of the memory."""
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.parametrize("busy", [False, True])
async def test_nobody_spins_while_the_server_is_away(
    line: Proxy, chaos_server: RedisServer, tmp_path: Path, busy: bool
) -> None:
    """Few attempts, little processor, no memory; and work goes on soon after."""
    away = 4.0
    async with Rig(tmp_path, chaos_server.url(), lease=LONG_LEASE) as rig:
        [worker] = await rig.start_workers(1, **behind(line, chaos_server))
        ids = await rig.submit("work", 6, 0.5) if busy else []
        await rig.until(lambda: len(rig.notes("begin")) >= min(4, len(ids)))
        connections, cpu, memory = line.connections, cpu_seconds(worker), resident_megabytes(worker)
        line.mode = "reset"
        line.cut()
        await asyncio.sleep(away)

        assert 1 < line.connections - connections < 20 * away
        assert cpu_seconds(worker) - cpu < 0.1 * away
        assert resident_megabytes(worker) - memory < 10
        line.mode = "pass"
        healed = time.monotonic()
        ids += await rig.submit("work", 4)
        async with asyncio.timeout(GOES_ON + SLACK):
            await rig.until(lambda: any(note.at > healed for note in rig.notes("accepted")))
        await rig.until_done()
        outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    assert not outcome.repeated
