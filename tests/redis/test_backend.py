"""What the Redis backend promises beyond the contract: waiting, and living with its server."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest
import redis
from backend_steps import NOW, Make, backends, until
from proxy import Proxy
from servers import RedisServer

from flowrra.config import BackendConfig
from flowrra.exceptions import TransientError
from flowrra.message import Record
from flowrra.redis import waiting
from flowrra.redis.backend import RedisBackend
from flowrra.reports import RunFilter
from flowrra.testing.factories import make_message, make_record


@pytest.fixture
async def make(redis_url: str) -> AsyncGenerator[Make]:
    async with backends(redis_url) as make:
        yield make


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        yield client


async def registered(client: Any, *ids: str) -> None:
    """Return when the server knows that somebody waits for these."""
    keys = [f"flowrra:w:{{{task_id}}}" for task_id in ids]
    await until(lambda: client.exists(*keys) == len(keys))


async def waiting_for(backend: RedisBackend, client: Any, *ids: str) -> list[asyncio.Task[Record | None]]:
    tasks = [asyncio.create_task(backend.wait(task_id, None)) for task_id in ids]
    await registered(client, *ids)
    return tasks


async def test_a_record_is_pushed_to_another_process(make: Make, redis_url: str, client: Any) -> None:
    backend = await make()
    record = make_record(NOW)
    [task] = await waiting_for(backend, client, record.message.id)
    program = (
        "import asyncio, pickle, sys\n"
        "from flowrra.config import BackendConfig\n"
        "from flowrra.redis.backend import RedisBackend\n"
        "async def main():\n"
        "    backend = RedisBackend(BackendConfig(url=sys.argv[1]))\n"
        "    await backend.open()\n"
        "    await backend.store([pickle.loads(bytes.fromhex(sys.argv[2]))])\n"
        "    await backend.close()\n"
        "asyncio.run(main())\n"
    )
    arguments = [sys.executable, "-c", program, redis_url, pickle.dumps(record).hex()]
    await asyncio.to_thread(subprocess.run, arguments, check=True, timeout=30)
    assert await asyncio.wait_for(task, 1) == record


async def test_no_wake_up_between_two_connections_is_lost(make: Make, soaked: Callable[[int], int]) -> None:
    """The record comes from elsewhere, at any moment of the waiting."""
    here, there = await make(), await make()

    async def race(number: int) -> None:
        record = make_record(NOW)
        task = asyncio.create_task(here.wait(record.message.id, None))
        for _ in range(number % 12):
            await asyncio.sleep(0)
        await there.store([record])
        assert await task == record

    for start in range(0, soaked(10_000), 20):
        await asyncio.wait_for(asyncio.gather(*map(race, range(start, start + 20))), 4)


async def test_many_waits_share_their_round_trips(make: Make, client: Any) -> None:
    backend = await make()
    records = [make_record(NOW) for _ in range(300)]
    client.config_resetstat()
    tasks = await waiting_for(backend, client, *(record.message.id for record in records))
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 4
    await backend.store(records)
    assert await asyncio.wait_for(asyncio.gather(*tasks), 4) == records
    assert client.keys("flowrra:w:*") == []


async def test_a_large_record_is_fetched_by_who_waits(make: Make, client: Any) -> None:
    here, there = await make(), await make()
    record = make_record(NOW, value=os.urandom(200_000))
    [task] = await waiting_for(here, client, record.message.id)
    await there.store([record])
    assert await asyncio.wait_for(task, 4) == record


async def test_a_wait_that_ends_leaves_nothing(make: Make, client: Any) -> None:
    """The server's note of it expires; a record that comes later disturbs nobody."""
    backend = await make()
    [cancelled] = await waiting_for(backend, client, "a")
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert await backend.wait("b", 0.01) is None
    assert not backend._waiting._waiters
    assert not backend._waiting._registered
    assert not backend._waiting._late
    assert 0 < client.pttl("flowrra:w:{a}") <= 3_600_000
    record = make_record(NOW, make_message("a"))
    await backend.store([record])
    assert await backend.wait("a", 0.0) == record


async def test_looking_without_waiting_still_looks(make: Make) -> None:
    backend = await make()
    record = make_record(NOW)
    await backend.store([record])
    assert await backend.wait(record.message.id, 0.0) == record
    assert await backend.wait("unknown", 0.0) is None


async def test_a_lost_message_is_made_up_for(
    make: Make, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits looks again from time to time, whatever became of the message."""
    monkeypatch.setattr(waiting, "_LOOK_AGAIN", 0.1)
    here, there = await make(), await make()
    record = make_record(NOW)
    [task] = await waiting_for(here, client, record.message.id)
    client.delete(f"flowrra:w:{{{record.message.id}}}")
    await there.store([record])
    assert await asyncio.wait_for(task, 4) == record


async def test_a_broken_subscription_loses_no_record(make: Make, client: Any) -> None:
    """What was published while it was away is looked for when it is back, at once."""
    here, there = await make(), await make()
    for _ in range(10):
        record = make_record(NOW)
        [task] = await waiting_for(here, client, record.message.id)
        client.client_kill_filter(_type="pubsub")
        await there.store([record])
        assert await asyncio.wait_for(task, 4) == record


async def test_who_waits_outlives_a_restart_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the server forgot everything: looking again registers anew."""
    monkeypatch.setattr(waiting, "_LOOK_AGAIN", 0.1)
    with RedisServer() as server:
        async with backends(server.url()) as make:
            backend = await make()
            record = make_record(NOW)
            with server.client() as client:
                [task] = await waiting_for(backend, client, record.message.id)
            await asyncio.to_thread(server.restart)
            with server.client() as client:
                await registered(client, record.message.id)
            await backend.store([record])
            assert await asyncio.wait_for(task, 4) == record


async def test_waiting_for_a_server_that_is_gone_is_an_error() -> None:
    with RedisServer() as server:
        async with backends(server.url()) as make:
            backend = await make(socket_timeout=0.5)
            await backend.store([make_record(NOW)])
            await asyncio.to_thread(server.kill)
            with pytest.raises(TransientError, match=str(server.port)):
                await asyncio.wait_for(backend.wait("a", None), 4)
            assert not backend._waiting._waiters


async def test_a_dead_link_is_an_error_within_the_timeout(
    make: Make, proxy: Proxy, redis_server: Any
) -> None:
    backend = await make(redis_server.url(port=proxy.port), socket_timeout=0.5)
    proxy.mode = "blackhole"
    for call in (backend.get(["a"]), backend.store([make_record(NOW)]), backend.wait("a", None)):
        with pytest.raises(TransientError):
            await asyncio.wait_for(call, 1.5)


async def test_closing_ends_the_waiting(make: Make, client: Any) -> None:
    backend = await make()
    [task] = await waiting_for(backend, client, "a")
    await backend.close()
    with pytest.raises(TransientError, match="closed"):
        await task
    await backend.open()
    record = make_record(NOW, make_message("a"))
    [task] = await waiting_for(backend, client, "a")
    await backend.store([record])
    assert await asyncio.wait_for(task, 4) == record


def test_another_loop_may_open_what_one_has_closed(redis_url: str) -> None:
    backend = RedisBackend(BackendConfig(url=redis_url))
    record = make_record(NOW)

    async def use() -> Record | None:
        await backend.open()
        await backend.store([record])
        found = await backend.wait(record.message.id, 5.0)
        await backend.close()
        return found

    for _ in range(3):
        assert asyncio.run(use()) == record


def fill(client: Any) -> None:
    for number in range(10_000):
        client.set(f"ballast-{number}", b"x" * 10_000)


async def test_finishes_succeed_on_a_full_server() -> None:
    """At maxmemory records are stored and waited for, where a plain write is refused."""
    with RedisServer(maxmemory="3mb", maxmemory_policy="noeviction") as server, server.client() as client:
        async with backends(server.url()) as make:
            backend = await make(ttl=3600)
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                fill(client)
            records = [make_record(NOW, retries=1) for _ in range(20)]
            [task] = await waiting_for(backend, client, records[0].message.id)
            assert await backend.store(records) == [True] * 20
            assert await asyncio.wait_for(task, 4) == records[0]
            assert await backend.get([record.message.id for record in records]) == records
            assert backend.history is not None
            assert await backend.history.count(RunFilter(), 100) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_forked_child_opens_connections_of_its_own(make: Make, client: Any) -> None:
    """And leaves its parent's alone: they go on working."""
    backend = await make()
    record = make_record(NOW)
    [task] = await waiting_for(backend, client, record.message.id)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.set_event_loop(None)
            asyncio.events._set_running_loop(None)
            status = asyncio.run(_in_child(backend, record))
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert await asyncio.wait_for(task, 4) == record
    assert await backend.get([record.message.id]) == [record]


async def _in_child(backend: RedisBackend, record: Record) -> int:
    await backend.open()
    await backend.store([record])
    found = await backend.wait(record.message.id, 5.0)
    await backend.close()
    return 0 if found == record else 2


def test_constructing_connects_to_nothing_and_tells_no_secret() -> None:
    backend = RedisBackend(BackendConfig(url="redis://me:canary@127.0.0.1:1/0"))
    assert repr(backend) == "RedisBackend('redis://127.0.0.1:1/0')"
