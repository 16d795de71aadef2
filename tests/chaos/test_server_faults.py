"""Redis crashes, forgets, is full, sleeps or is late: nothing acknowledged is lost, and everybody goes on."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from rig import Rig, WorkerProcess
from servers import RedisServer

from flowrra.exceptions import TransientError
from flowrra.message import Message, Receipt, Settlement, Verdict

#: Seconds within which work goes on after the server answers again.
GOES_ON = 5.0
#: Seconds by which a call may be late on a busy machine.
SLACK = 1.0


@asynccontextmanager
async def meanwhile(*work: Any) -> AsyncIterator[None]:
    """Coroutines that run beside the test, and whose failures are its own."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def batch(rig: Rig, size: int, seconds: float) -> list[Message]:
    """Messages of one batch, to be submitted again if there was no answer."""
    task = rig.app.find_task("work")
    return [rig.app.engine.message(task, (seconds,), {}, task.defaults) for _ in range(size)]


class Producer:
    """Submits batches until it is told to stop, each again and again until it is acknowledged."""

    def __init__(self, rig: Rig, timeout: float) -> None:
        self.ids: list[str] = []
        self.refusals = 0
        #: Monotonic moment of the newest acknowledgement.
        self.newest = 0.0
        self.is_stopped = False
        self._rig = rig
        self._timeout = timeout

    async def run(self, least: int) -> None:
        """Submit at least so many."""
        while len(self.ids) < least or not self.is_stopped:
            messages = batch(self._rig, 10, 0.02)
            while not await self._submit(messages):
                self.refusals += 1
            self.ids += [message.id for message in messages]
            self.newest = time.monotonic()
            await asyncio.sleep(0.1)

    async def _submit(self, messages: list[Message]) -> bool:
        """Submit once: whether it was acknowledged, which is known in time."""
        async with asyncio.timeout(self._timeout + SLACK):
            try:
                ids = await self._rig.app.engine.enqueue(messages)
            except TransientError:
                return False
        assert ids == [message.id for message in messages]
        return True


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_server_that_is_killed_loses_nothing(tmp_path: Path, soaked: Callable[[int], int]) -> None:
    """Producers and workers go on by themselves; a batch that is submitted again is there once."""
    tasks, crashes, timeout, workers = soaked(5000), soaked(20), 1.0, 3
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        async with Rig(tmp_path, server.url(), lease=3.0, socket_timeout=timeout) as rig:
            await rig.start_workers(workers)
            producers = [Producer(rig, timeout) for _ in range(4)]
            running = [asyncio.create_task(each.run(tasks // 4)) for each in producers]
            for _ in range(crashes):
                await asyncio.sleep(random.uniform(0.2, 0.6))
                server.kill()
                await asyncio.sleep(random.choice([0.0, 1.5 * timeout]))
                await asyncio.to_thread(server.start)
                answers = time.monotonic()
                async with asyncio.timeout(GOES_ON):
                    await rig.until(lambda at=answers: all(each.newest > at for each in producers))
                    await rig.until(
                        lambda at=answers: {n.pid for n in rig.notes("end") if n.at > at} == pids(rig)
                    )
            for each in producers:
                each.is_stopped = True
            await asyncio.gather(*running)
            await rig.until_done()
            outcome = await rig.outcome([task_id for each in producers for task_id in each.ids])

            assert {worker.code for worker in rig.workers} == {None}
    outcome.assert_exactly_one_result()
    assert sum(outcome.repeated.values()) <= crashes * workers * 4


def pids(rig: Rig) -> set[int]:
    return {worker.pid for worker in rig.workers}


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_cut_connections_and_forgotten_scripts_are_nobodys_affair(
    tmp_path: Path, soaked: Callable[[int], int]
) -> None:
    """Whoever waits for results gets them all, without an error."""
    with RedisServer() as server, server.client() as admin:
        async with Rig(tmp_path, server.url(), lease=60.0) as rig:
            await rig.start_workers(2)
            ids: list[str] = []

            async def ask(times: int) -> None:
                for _ in range(times):
                    ids.append(await rig.app.submit("work", random.choice([0.0, 0.02, 0.1])))
                    result = await rig.app.wait_for_result(ids[-1], 20)
                    assert result.is_success

            async with meanwhile(
                every(0.01, admin.script_flush),
                every(0.2, lambda: admin.execute_command("CLIENT", "KILL", "TYPE", "normal")),
                every(0.2, lambda: admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")),
            ):
                await asyncio.gather(*(ask(soaked(1000) // 20) for _ in range(20)))

            outcome = await rig.outcome(ids)
            assert {worker.code for worker in rig.workers} == {None}
    outcome.assert_exactly_one_result()
    assert not outcome.repeated


async def every(seconds: float, order: Callable[[], object]) -> None:
    """Give an order again and again."""
    while True:
        order()
        await asyncio.sleep(seconds)


@pytest.fixture(params=["one database", "two databases", "two servers"])
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[list[RedisServer], str, str]]:
    """Servers, and the URLs of queues and results on them; on two servers, settling takes two steps."""
    with ExitStack() as stack:
        servers = [stack.enter_context(RedisServer(maxmemory_policy="noeviction"))]
        if request.param == "two servers":
            servers.append(stack.enter_context(RedisServer(maxmemory_policy="noeviction")))
        database = 1 if request.param == "two databases" else 0
        yield servers, servers[0].url(), servers[-1].url(database=database)


def set_memory(servers: list[RedisServer], most: int) -> None:
    """Let the servers be full (1) or not (0)."""
    for server in servers:
        with server.client() as client:
            client.config_set("maxmemory", most)


def contents(servers: list[RedisServer]) -> dict[tuple[int, bytes], object]:
    """All that the servers keep, signs of life aside."""
    found: dict[tuple[int, bytes], object] = {}
    for number, server in enumerate(servers):
        with server.client() as client:
            found |= {
                (number, key): client.dump(key) for key in client.scan_iter() if b"{workers}" not in key
            }
    return found


async def test_a_full_server_takes_no_tasks_and_finishes_those_it_has(
    stores: tuple[list[RedisServer], str, str], tmp_path: Path
) -> None:
    servers, broker_url, backend_url = stores
    async with Rig(tmp_path, broker_url, backend_url=backend_url) as rig:
        ids = await rig.submit("work", 20, 0.01)
        ids += await rig.submit("work", 4, 2.5)  # for longer than two leases
        ids += await rig.submit("stumble", 4, 0.01, 2)
        ids += await rig.submit("work", 4, 0.01, delay=0.5)
        before = contents(servers)
        set_memory(servers, 1)

        for options in ({}, {"delay": 60.0}, {"unique_key": "key"}, {"queue": "other"}, {"priority": -5}):
            with pytest.raises(TransientError, match="maxmemory and stored nothing: give it more memory"):
                await rig.submit("work", 2, **options)
        assert contents(servers) == before
        assert await rig.left() == len(ids)

        await finish_on_full_servers(rig)
        results = [await rig.app.wait_for_result(task_id, 10) for task_id in ids]
        assert all(result.is_success for result in results)
        set_memory(servers, 0)
        ids += await rig.submit("work", 1, unique_key="key")
        await rig.until_done()
        outcome = await rig.outcome(ids)

        outcome.assert_exactly_one_result()
        for trouble in ("can't claim", "can't settle", "can't renew", "was lost", "refused"):
            assert trouble not in "".join(worker.said() for worker in rig.workers)


async def finish_on_full_servers(rig: Rig) -> None:
    """Run, renew, retry, give back and settle all that there is; what is stale is refused, no error."""
    [first] = await rig.start_workers(1, drain=0.0)
    await rig.until(lambda: len(rig.notes("end")) >= 10 and begun(rig, first))
    first.send(signal.SIGTERM)
    await rig.until(lambda: first.code is not None)
    assert first.code == 0
    await rig.start_workers(1)
    await rig.until_done()
    await refuse_what_is_stale(rig)


async def refuse_what_is_stale(rig: Rig) -> None:
    """Each outcome of a delivery that nobody holds any more, also with a record."""
    connections = rig.app.engine.connections
    records = await rig.records([rig.notes("end")[0].id])
    for task_id, record in records.items():
        receipt = Receipt(task_id, "default", 1)
        for stale in (
            *(Settlement(receipt, verdict, reason="stale") for verdict in Verdict),
            Settlement(receipt, Verdict.DONE, record=record),
        ):
            assert await connections.settler.settle([stale]) == [False]
            assert await connections.broker.settle([stale]) == [False]


def begun(rig: Rig, worker: WorkerProcess) -> bool:
    """Whether a worker has begun what it has not ended."""
    ended = {note.token for note in rig.notes("end")}
    return any(note.pid == worker.pid and note.token not in ended for note in rig.notes("begin"))


async def test_a_server_that_sleeps_longer_than_the_leases(tmp_path: Path) -> None:
    with RedisServer(enable_debug_command="yes") as server:
        async with Rig(tmp_path, server.url(), lease=1.0) as rig:
            await rig.start_workers(2)
            ids = await rig.submit("work", 200, 0.05)
            await rig.until(lambda: len(rig.notes("end")) >= 20)
            with server.client() as client:
                await asyncio.to_thread(client.execute_command, "DEBUG", "SLEEP", 3)
            ids += await rig.submit("work", 10)
            await rig.until_done()
            outcome = await rig.outcome(ids)

            assert {worker.code for worker in rig.workers} == {None}
    outcome.assert_exactly_one_result()


async def test_a_server_that_is_emptied_is_used_again(tmp_path: Path) -> None:
    with RedisServer() as server, server.client() as client:
        async with Rig(tmp_path, server.url()) as rig:
            [worker] = await rig.start_workers(1)
            await rig.submit("work", 50, 0.05)
            await rig.until(lambda: begun(rig, worker))
            client.flushall()
            ids = await rig.submit("work", 20)
            async with asyncio.timeout(GOES_ON + SLACK):
                results = [await rig.app.wait_for_result(task_id) for task_id in ids]
            await end_well(rig, worker)

    assert all(result.is_success for result in results)


async def test_a_task_of_which_the_server_forgot_that_it_runs(tmp_path: Path) -> None:
    """It is handed out once more, under the same fence, to the worker that runs it: which goes on."""
    with RedisServer() as server, server.client() as client:
        async with Rig(tmp_path, server.url(), lease=60.0) as rig:
            [worker] = await rig.start_workers(1)
            messages = batch(rig, 1, 1.0)
            await rig.app.engine.enqueue(messages)
            await rig.until(lambda: rig.notes("begin"))
            client.flushall()
            await rig.app.engine.enqueue(messages)
            await rig.until_done()
            await end_well(rig, worker)

            assert [note.kind for note in rig.notes()] == ["begin", "end", "accepted"]


async def end_well(rig: Rig, worker: WorkerProcess) -> None:
    """End a worker, which has nothing to complain of itself."""
    worker.send(signal.SIGTERM)
    await rig.until(lambda: worker.code is not None)
    assert worker.code == 0
    assert "Traceback" not in worker.said()


async def test_a_server_that_loads_its_data_is_waited_for(tmp_path: Path) -> None:
    with RedisServer(appendonly="yes", appendfsync="always") as server:
        async with Rig(tmp_path, server.url()) as rig:
            [worker] = await rig.start_workers(1)
            ids = await rig.submit("work", 100, 0.02)
            with server.client() as client:
                client.mset({f"ballast:{number}": number for number in range(2500)})
                client.bgrewriteaof()
                await rig.until(lambda: not client.info()["aof_rewrite_in_progress"])
            server.kill()
            # Each key takes 0.5 ms; events are handled in between.
            server.options |= {"key_load_delay": 500, "loading_process_events_interval_bytes": 1024}
            starting = asyncio.create_task(asyncio.to_thread(server.start))
            await rig.until(lambda: is_loading(server))
            ids += await rig.submit("work", 10)
            await starting
            async with asyncio.timeout(GOES_ON + SLACK):
                await rig.until(lambda: rig.notes("end", ids[-10:]))
            await rig.until_done()
            outcome = await rig.outcome(ids)

            assert worker.code is None
    outcome.assert_exactly_one_result()


def is_loading(server: RedisServer) -> bool:
    """Whether it answers, but with an excuse."""
    with suppress(redis.exceptions.ConnectionError), server.client() as client:
        return bool(client.info()["loading"])
    return False


async def test_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    """Starting fails in time, with ordinary settings; a worker process waits for the server."""
    with ExitStack() as stack:
        server = RedisServer()
        stack.callback(server.remove)
        rig = Rig(tmp_path, server.url())
        worker = rig.start_worker()
        stack.callback(worker.kill)
        async with asyncio.timeout(5.0 + SLACK):
            with pytest.raises(
                TransientError, match=r"can't be reached: it refused the connection.*Check that"
            ):
                await rig.app.start()
        await rig.until(lambda: "the worker can't start: TransientError" in worker.said())
        await asyncio.to_thread(server.start)
        async with rig:
            ids = await rig.submit("work", 10)
            async with asyncio.timeout(GOES_ON + SLACK):
                await rig.until(lambda: rig.notes("end"))
            await rig.until_done()
            outcome = await rig.outcome(ids)
    outcome.assert_exactly_one_result()
    assert "works again after" in worker.said()
