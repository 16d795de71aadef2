"""A server: facts, scripts, roles, and refusals that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from proxy import Proxy
from servers import RedisServer, free_port

from flowrra.exceptions import PermanentError, TransientError
from flowrra.redis import scripts
from flowrra.redis.calls import Call, Plain, Role
from flowrra.redis.scripts import Script
from flowrra.redis.server import Server

MakeServer = Callable[..., Server]


def get(key: str) -> Plain:
    return Plain(("GET", key), key)


def put(key: str, value: str | bytes) -> Plain:
    return Plain(("SET", key, value), key)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Script:
    """A script that returns its arguments."""
    return scripted(monkeypatch, "echo", "return {KEYS[1], ARGV[1], ARGV[2]}")


def scripted(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> Script:
    """A script with a text of its own, instead of files."""
    script = Script(name)
    monkeypatch.setitem(vars(script), "text", text)
    return script


async def test_facts_are_known_once_open(make_server: MakeServer) -> None:
    with RedisServer(appendonly="yes", save="900 1", maxmemory_policy="allkeys-lru") as process:
        server = make_server(process.url(database=3))
        await server.open()
        with process.client() as client:
            run_id = client.info()["run_id"]

        facts = server.facts
        assert server.name == f"redis://127.0.0.1:{process.port}/3"
        assert (facts.cluster, facts.role, facts.run_id) == (False, "master", run_id)
        assert facts.version >= (6, 2)
        assert (facts.aof, facts.rdb, facts.maxmemory_policy) == (True, True, "allkeys-lru")


async def test_facts_that_a_user_may_not_ask_for_are_unknown(make_server: MakeServer) -> None:
    with RedisServer(user=["plain on >pw ~* +@all -@dangerous"]) as process:
        server = make_server(f"redis://plain:pw@127.0.0.1:{process.port}")
        await server.open()

        facts = server.facts
        assert (facts.run_id, facts.rdb, facts.aof, facts.maxmemory_policy) == (None, None, None, None)
        assert (facts.cluster, facts.role) == (False, "master")
        assert facts.version >= (6, 2)


async def test_replies_come_in_order_of_the_calls(
    redis_url: str, make_server: MakeServer, echo: Script
) -> None:
    server = make_server(redis_url)
    await server.open()

    replies = await server.run(
        Role.COMMAND, [put("a", "1"), Call(echo, ("k",), (b"\x00", 5)), get("a"), Plain(("PING",))]
    )

    assert replies == [b"OK", [b"k", b"\x00", b"5"], b"1", b"PONG"]
    assert await server.run(Role.COMMAND, []) == []


async def test_a_forgotten_script_is_loaded_again(
    redis_server: RedisServer, redis_url: str, make_server: MakeServer, echo: Script
) -> None:
    server = make_server(redis_url)
    await server.open()
    call = Call(echo, ("k",), ("a", "b"))
    for _ in range(3):
        with redis_server.client() as client:
            client.script_flush()
        replies = await server.run(Role.CLAIM, [Plain(("INCR", "n"), "n"), call, call])
        assert replies[1:] == [[b"k", b"a", b"b"]] * 2

    assert await server.run(Role.COMMAND, [get("n")]) == [b"3"]


async def test_a_script_that_is_no_lua_is_a_permanent_error(
    redis_url: str, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(redis_url)
    await server.open()

    with pytest.raises(PermanentError, match=r"'broken'.*compiling"):
        await server.run(Role.COMMAND, [Call(scripted(monkeypatch, "broken", "retrun 1"), ("k",))])


@pytest.fixture
def restored_clock() -> Iterator[None]:
    """Scripts have the server's clock again after the test."""
    yield
    scripts.replace_clock(None)


@pytest.mark.usefixtures("restored_clock")
async def test_scripts_take_time_from_the_server_or_from_a_test(
    redis_url: str, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = scripts._read("clock")
    told = "return string.format('%.0f', now())"
    monkeypatch.setattr(scripts, "_read", lambda fragment: clock if fragment == "clock" else told)
    call = Call(Script("now", "clock", "told"), ("k",))
    server = make_server(redis_url)
    await server.open()
    await server.run(Role.COMMAND, [call])

    before, now, after = await server.run(Role.COMMAND, [Plain(("TIME",)), call, Plain(("TIME",))])
    assert microseconds(before) <= int(now) <= microseconds(after)

    scripts.replace_clock("local function now() return 7 end")
    assert await server.run(Role.COMMAND, [call]) == [b"7"]


def microseconds(time: list[bytes]) -> int:
    return int(time[0]) * 1_000_000 + int(time[1])


async def test_each_role_has_a_connection_of_its_own(proxy: Proxy, make_server: MakeServer) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}")
    await server.open()
    assert proxy.connections == 1
    ids = [(await server.run(role, [Plain(("CLIENT", "ID"))]))[0] for role in [*Role, *Role]]

    assert len(set(ids)) == len(Role) == proxy.connections
    assert ids[: len(Role)] == ids[len(Role) :]


@pytest.mark.parametrize(("limit", "can_block"), [(1, False), (2, True), (3, True), (4, True)])
async def test_no_more_connections_than_allowed(
    proxy: Proxy, make_server: MakeServer, limit: int, can_block: bool
) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}", max_connections=limit)
    await server.open()
    for role in Role:
        await server.run(role, [Plain(("PING",))])

    assert proxy.connections == limit
    assert server.can_block is can_block


async def test_one_round_trip_takes_all_calls(proxy: Proxy, make_server: MakeServer) -> None:
    """A hundred calls through 50 ms of latency take one trip's time, far from a hundred's."""
    server = make_server(f"redis://127.0.0.1:{proxy.port}", timeout=3)
    await server.open()
    proxy.latency = 0.05

    assert await server.run(Role.COMMAND, [put(f"k{n}", "v") for n in range(100)]) == [b"OK"] * 100


async def test_a_full_server_is_a_transient_error_that_says_so(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(maxmemory="1", maxmemory_policy="noeviction") as process:
        server = make_server(process.url())
        await server.open()
        script = scripted(monkeypatch, "write", "return redis.call('SET', KEYS[1], 'x')")
        for call in (put("a", "x"), Call(script, ("a",))):
            with pytest.raises(TransientError, match="maxmemory and stored nothing"):
                await server.run(Role.COMMAND, [call])
        assert await server.run(Role.COMMAND, [get("a")]) == [None]


async def test_a_command_that_is_not_allowed_is_named(make_server: MakeServer) -> None:
    with RedisServer(user=["some on >pw ~* +@all -set"]) as process:
        server = make_server(f"redis://some:pw@127.0.0.1:{process.port}")
        await server.open()

        with pytest.raises(PermanentError, match=r"run SET .*ACL SETUSER"):
            await server.run(Role.COMMAND, [put("a", "1")])


async def test_other_refusals_tell_what_the_server_said(
    redis_url: str, make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(redis_url)
    await server.open()
    failing = scripted(monkeypatch, "failing", "return redis.call('LPUSH', KEYS[1], 'x')")

    with pytest.raises(PermanentError, match=r"the script 'failing'.*wrong kind of value"):
        await server.run(Role.COMMAND, [put("a", "1"), Call(failing, ("a",)), put("b", "2")])
    assert await server.run(Role.COMMAND, [get("b")]) == [b"2"]


async def test_a_replica_that_becomes_primary_in_time_is_enough(make_server: MakeServer) -> None:
    with RedisServer(replicaof=f"127.0.0.1 {free_port()}") as process:
        server = make_server(process.url(), timeout=10)
        await server.open()
        assert server.facts.role == "replica"
        hasty = make_server(process.url(), timeout=0.3)
        await hasty.open()
        with pytest.raises(TransientError, match="read-only replica"):
            await hasty.run(Role.COMMAND, [put("a", "1")])
        call = asyncio.create_task(server.run(Role.COMMAND, [put("a", "1")]))
        with process.client() as client:
            client.replicaof("NO", "ONE")

        assert await call == [b"OK"]


async def test_a_busy_server_is_waited_for(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(busy_reply_threshold="10") as process:
        server, hasty = make_server(process.url(), timeout=10), make_server(process.url(), timeout=1)
        await server.open()
        await hasty.open()
        endless = scripted(monkeypatch, "endless", "while true do end")
        stuck = asyncio.create_task(server.run(Role.CLAIM, [Call(endless, ("k",))]))
        with pytest.raises(TransientError, match="SCRIPT KILL"):
            await ask_for_ever(hasty)
        call = asyncio.create_task(server.run(Role.COMMAND, [get("a")]))
        with process.client() as client:
            client.script_kill()

        assert await call == [None]
        with pytest.raises(PermanentError):
            await stuck


async def ask_for_ever(server: Server) -> None:
    while True:
        await server.run(Role.COMMAND, [get("a")])


async def test_a_server_that_is_absent_at_open_is_a_transient_error(make_server: MakeServer) -> None:
    server = make_server(f"redis://127.0.0.1:{free_port()}", timeout=0.3)

    with pytest.raises(TransientError, match="refused"):
        await server.open()
    with pytest.raises(PermanentError, match="open it first"):
        await server.run(Role.COMMAND, [get("a")])


async def test_a_dropped_reply_loses_and_doubles_nothing(proxy: Proxy, make_server: MakeServer) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}")
    await server.open()
    proxy.drops = 1

    assert await server.run(Role.COMMAND, [put("a", "1"), get("a")]) == [b"OK", b"1"]
    assert proxy.connections == 2


async def test_block_and_unblock(redis_url: str, make_server: MakeServer) -> None:
    server = make_server(redis_url)
    await server.open()
    wake = Plain(("BLPOP", "wake", 30), "wake")
    blocked = asyncio.create_task(server.block(wake, 30))
    await asyncio.sleep(0)
    await server.unblock()

    assert await blocked is None
    blocked = asyncio.create_task(server.block(wake, 30))
    await server.run(Role.COMMAND, [Plain(("LPUSH", "wake", "x"), "wake")])
    assert await blocked == [b"wake", b"x"]
    await server.unblock()
    await server.run(Role.COMMAND, [put("wake", "x")])
    with pytest.raises(PermanentError, match="wrong kind of value"):
        await server.block(wake, 30)


async def test_a_server_can_be_opened_again_on_another_loop(redis_url: str, make_server: MakeServer) -> None:
    server = make_server(redis_url)
    await server.open()
    await server.run(Role.COMMAND, [put("a", "1")])
    await server.close()
    await server.close()

    async def elsewhere() -> None:
        await server.open()
        assert await server.run(Role.COMMAND, [get("a")]) == [b"1"]
        await server.close()

    await asyncio.to_thread(asyncio.run, elsewhere())
    await server.open()
    assert await server.run(Role.COMMAND, [get("a")]) == [b"1"]


async def test_on_uvloop(redis_server: RedisServer, redis_url: str, make_server: MakeServer) -> None:
    uvloop = pytest.importorskip("uvloop")
    server = make_server(redis_url)

    async def elsewhere() -> None:
        await server.open()
        assert await server.run(Role.COMMAND, [put("a", "1"), get("a")]) == [b"OK", b"1"]
        with redis_server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        assert await server.run(Role.COMMAND, [get("a")]) == [b"1"]
        async with Proxy(redis_server.port) as proxy:
            other = make_server(f"redis://127.0.0.1:{proxy.port}", timeout=0.4)
            await other.open()
            for _ in range(20):
                proxy.cut()
                await asyncio.sleep(0.01)
                assert await other.run(Role.COMMAND, [get("a")]) == [b"1"]
            proxy.mode = "blackhole"
            with pytest.raises(TransientError, match="gave no answer"):
                await other.run(Role.COMMAND, [get("a")])
            await other.close()
        with pytest.raises(TransientError, match="refused"):
            await make_server(f"redis://127.0.0.1:{free_port()}", timeout=0.3).open()
        await server.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(elsewhere())

    await asyncio.to_thread(run)


async def test_keys_of_one_server_are_one_group(redis_url: str, make_server: MakeServer) -> None:
    server = make_server(redis_url)
    await server.open()

    assert server.groups(["a", b"b", "c"]) == [[0, 1, 2]]
    assert server.slot("a") == server.slot("b")
