"""A cluster of three nodes, reached through one of them: every call finds its key's node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from proxy import Proxy
from redis.crc import key_slot
from servers import RedisCluster, RedisServer, until

from flowrra.exceptions import PermanentError, TransientError
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server

MakeServer = Callable[..., Server]

KEYS = [f"key{number}" for number in range(60)]


def get(key: str) -> Plain:
    return Plain(("GET", key), key)


def put(key: str, value: str = "1") -> Plain:
    return Plain(("SET", key, value), key)


def owner(cluster: RedisCluster, key: str) -> RedisServer:
    """The node that has *key*'s slot when nothing was moved."""
    return cluster.nodes[key_slot(key.encode()) * 3 // 16384]


def follows(replica: redis.Redis, primary: str) -> bool:
    """Make one node of a cluster the replica of another, which it may not know yet."""
    with suppress(redis.ResponseError):
        replica.execute_command("CLUSTER", "REPLICATE", primary)
        return True
    return False


@pytest.fixture
def lone_cluster() -> Iterator[RedisCluster]:
    """A cluster that the test may break."""
    with RedisCluster() as cluster:
        yield cluster


async def test_calls_find_their_nodes_and_replies_their_order(
    cluster_url: str, redis_cluster: RedisCluster, make_server: MakeServer
) -> None:
    server = make_server(cluster_url)
    await server.open()

    assert server.facts.cluster
    assert await server.run(Role.COMMAND, [put(key, key) for key in KEYS]) == [b"OK"] * len(KEYS)
    assert await server.run(Role.CLAIM, [get(key) for key in KEYS]) == [key.encode() for key in KEYS]
    for node in redis_cluster.nodes:
        with node.client() as client:
            assert client.dbsize() > 0


async def test_scripts_are_loaded_on_each_node(
    cluster_url: str, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(cluster_url)
    await server.open()
    script = Script("incr")
    monkeypatch.setitem(vars(script), "text", "return {KEYS[1], redis.call('INCRBY', KEYS[1], ARGV[1])}")

    replies = await server.run(Role.COMMAND, [Call(script, (key,), (2,)) for key in KEYS])

    assert replies == [[key.encode(), 2] for key in KEYS]


async def test_keys_are_grouped_by_slot(cluster_url: str, make_server: MakeServer) -> None:
    server = make_server(cluster_url)
    await server.open()

    assert server.groups(["{a}1", "{b}1", b"{a}2", "{b}2"]) == [[0, 2], [1, 3]]
    assert server.slot("{a}1") == key_slot(b"a")


async def test_servers_of_one_cluster_recognise_each_other(
    redis_cluster: RedisCluster, make_server: MakeServer
) -> None:
    servers = [make_server(node.url()) for node in redis_cluster.nodes]
    for server in servers:
        await server.open()

    assert len({server.facts.run_id for server in servers}) == 1


async def test_a_database_other_than_the_first_is_refused(
    redis_cluster: RedisCluster, make_server: MakeServer
) -> None:
    with pytest.raises(PermanentError, match="database 0 only"):
        await make_server(redis_cluster.nodes[0].url(database=1)).open()


async def test_a_refusal_of_one_call_is_raised_after_all_were_made(
    cluster_url: str, make_server: MakeServer
) -> None:
    server = make_server(cluster_url)
    await server.open()

    with pytest.raises(PermanentError, match="LPUSH"):
        await server.run(
            Role.COMMAND, [put("key0"), Plain(("LPUSH", "key0", "x"), "key0"), *(put(key) for key in KEYS)]
        )
    assert await server.run(Role.COMMAND, [get(key) for key in KEYS]) == [b"1"] * len(KEYS)


async def test_a_slot_that_moved_is_followed(lone_cluster: RedisCluster, make_server: MakeServer) -> None:
    server = make_server(lone_cluster.url())
    await server.open()
    source, target = owner(lone_cluster, "key0"), lone_cluster.nodes[0]
    if target is source:
        target = lone_cluster.nodes[1]
    slot = key_slot(b"key0")
    with source.client() as old, target.client() as new:
        name: Any = new.execute_command("CLUSTER", "MYID")
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)

    assert await server.run(Role.COMMAND, [put(key, key) for key in KEYS]) == [b"OK"] * len(KEYS)
    assert await server.run(Role.COMMAND, [get("key0")]) == [b"key0"]
    with target.client() as new:
        assert new.get("key0") == b"key0"


async def test_a_slot_on_its_way_is_asked_for_at_both_ends(
    lone_cluster: RedisCluster, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a slot migrates, its old node has the keys not yet moved and the new one the others."""
    server = make_server(lone_cluster.url())
    await server.open()
    await server.run(Role.COMMAND, [put("{key0}here", "here")])
    source = owner(lone_cluster, "{key0}here")
    target = next(node for node in lone_cluster.nodes if node is not source)
    slot = key_slot(b"key0")
    with source.client() as old, target.client() as new:
        ids: list[Any] = [client.execute_command("CLUSTER", "MYID") for client in (old, new)]
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    script = Script("append")
    monkeypatch.setitem(vars(script), "text", "return redis.call('APPEND', KEYS[1], ARGV[1])")

    replies = await server.run(
        Role.COMMAND,
        [
            get("{key0}here"),
            put("{key0}there", "a"),
            Call(script, ("{key0}there",), ("b",)),
            get("{key0}there"),
        ],
    )

    assert replies == [b"here", b"OK", 2, b"ab"]


async def test_keys_that_are_being_moved_apart_are_waited_for(
    lone_cluster: RedisCluster, make_server: MakeServer
) -> None:
    """TRYAGAIN: one of the call's keys is here, the other one there."""
    server = make_server(lone_cluster.url(), timeout=10)
    hasty = make_server(lone_cluster.url(), timeout=0.4)
    await server.open()
    await hasty.open()
    source = owner(lone_cluster, "{key0}a")
    target = next(node for node in lone_cluster.nodes if node is not source)
    slot = key_slot(b"key0")
    await server.run(Role.COMMAND, [put("{key0}a", "1")])
    with source.client() as old, target.client() as new:
        ids: list[Any] = [client.execute_command("CLUSTER", "MYID") for client in (old, new)]
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        both = Plain(("MGET", "{key0}a", "{key0}b"), "{key0}a")
        with pytest.raises(TransientError, match="moving the keys"):
            await hasty.run(Role.COMMAND, [both])
        call = asyncio.create_task(server.run(Role.COMMAND, [both]))
        await asyncio.sleep(0)
        old.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")

        assert await call == [[b"1", None]]


async def test_a_dead_node_is_a_transient_error_and_its_return_is_noticed(
    lone_cluster: RedisCluster, make_server: MakeServer
) -> None:
    server = make_server(lone_cluster.url(), timeout=1)
    await server.open()
    await server.run(Role.COMMAND, [put(key) for key in KEYS])
    dead = lone_cluster.nodes[2]
    lost = next(key for key in KEYS if owner(lone_cluster, key) is dead)
    dead.kill()

    with pytest.raises(TransientError):
        async with asyncio.timeout(1):
            await server.run(Role.COMMAND, [get(lost)])
    await asyncio.to_thread(dead.start)
    patient = make_server(lone_cluster.url(), timeout=20)
    await patient.open()
    assert await patient.run(Role.COMMAND, [get(lost)]) == [None]
    await server.run(Role.COMMAND, [put(lost, "again")])


async def test_a_replica_that_takes_over_is_found(
    lone_cluster: RedisCluster, make_server: MakeServer
) -> None:
    dead = lone_cluster.nodes[2]
    lost = next(key for key in KEYS if owner(lone_cluster, key) is dead)
    with RedisServer(
        cluster_enabled="yes", cluster_node_timeout=2000, cluster_replica_validity_factor=0
    ) as replica:
        with replica.client() as client, dead.client() as primary:
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", dead.port)
            name: Any = primary.execute_command("CLUSTER", "MYID")
            await until(lambda: follows(client, name))
            await until(lambda: client.info("replication")["master_link_status"] == "up")
        server = make_server(lone_cluster.url(), timeout=30)
        await server.open()
        await server.run(Role.COMMAND, [put(lost, "kept"), Plain(("WAIT", 1, 5000), lost)])
        dead.kill()

        assert await server.run(Role.COMMAND, [get(lost)]) == [b"kept"]


async def test_the_node_of_the_url_may_die_later(lone_cluster: RedisCluster, make_server: MakeServer) -> None:
    """Keys elsewhere are still served, as far as the cluster itself allows that."""
    for node in lone_cluster.nodes:
        with node.client() as client:
            client.config_set("cluster-require-full-coverage", "no")
    server = make_server(lone_cluster.url(), timeout=10)
    await server.open()
    lone_cluster.nodes[0].kill()
    others = [key for key in KEYS if owner(lone_cluster, key) is not lone_cluster.nodes[0]]

    assert await server.run(Role.COMMAND, [put(key) for key in others]) == [b"OK"] * len(others)


async def test_block_and_unblock_at_the_keys_node(
    cluster_url: str, redis_cluster: RedisCluster, make_server: MakeServer
) -> None:
    server = make_server(cluster_url)
    await server.open()
    for node in redis_cluster.nodes:
        key = next(key for key in KEYS if owner(redis_cluster, key) is node)
        wake = Plain(("BLPOP", key, 30), key)
        blocked = asyncio.create_task(server.block(wake, 30))
        await server.run(Role.COMMAND, [Plain(("LPUSH", key, "x"), key)])
        assert await blocked == [key.encode(), b"x"]
        blocked = asyncio.create_task(server.block(wake, 30))
        await asyncio.sleep(0)
        await server.unblock()
        assert await blocked is None


async def test_a_silent_node_is_a_transient_error_in_time(
    cluster_url: str, redis_cluster: RedisCluster, make_server: MakeServer
) -> None:
    """The entry is a black hole: what it owns can't be had, and the error comes within the timeout."""
    entry = redis_cluster.nodes[0]
    async with Proxy(entry.port) as proxy:
        server = make_server(f"redis://127.0.0.1:{proxy.port}", timeout=1)
        await server.open()
        assert await server.run(Role.COMMAND, [put(key) for key in KEYS]) == [b"OK"] * len(KEYS)
        proxy.mode = "blackhole"

        # Its own address, which the cluster names, still leads there.
        assert await server.run(Role.COMMAND, [get(key) for key in KEYS]) == [b"1"] * len(KEYS)
