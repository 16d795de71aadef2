"""Messages from channels, through connections that break."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from proxy import Proxy
from servers import RedisCluster, RedisServer, free_port, until

from flowrra.exceptions import PermanentError, TransientError
from flowrra.redis.calls import Plain, Role
from flowrra.redis.server import Server
from flowrra.redis.subscription import Subscription

MakeServer = Callable[..., Server]


@dataclass
class Heard:
    """What a subscription handed on."""

    messages: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)
    gaps: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def next(self) -> tuple[str, bytes]:
        async with asyncio.timeout(10):
            return await self.messages.get()

    async def gap(self) -> None:
        async with asyncio.timeout(10):
            await self.gaps.get()


@pytest.fixture
async def listen() -> AsyncIterator[Callable[[Server], tuple[Subscription, Heard]]]:
    """Make subscriptions; they are closed after the test."""
    made: list[Subscription] = []

    def listen(server: Server) -> tuple[Subscription, Heard]:
        heard = Heard()
        subscription = Subscription(
            server,
            lambda channel, payload: heard.messages.put_nowait((channel, payload)),
            lambda: heard.gaps.put_nowait(None),
        )
        made.append(subscription)
        return subscription, heard

    yield listen
    for subscription in made:
        await subscription.close()


Listen = Callable[[Server], tuple[Subscription, Heard]]


async def publish(server: Server, channel: str, payload: bytes | str) -> int:
    count: int = (await server.run(Role.COMMAND, [Plain(("PUBLISH", channel, payload))]))[0]
    return count


async def test_what_is_published_after_subscribe_is_heard(
    redis_url: str, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(redis_url)
    await server.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a", "b")

    assert await publish(server, "a", b"\x00\xff") == 1
    assert await publish(server, "b", "two") == 1
    assert [await heard.next(), await heard.next()] == [("a", b"\x00\xff"), ("b", b"two")]
    assert heard.gaps.empty()


async def test_no_message_of_an_unsubscribed_channel_is_heard(
    redis_url: str, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(redis_url)
    await server.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a", "b")
    await publish(server, "a", "before, perhaps still on its way")
    await subscription.unsubscribe("a", "never subscribed")
    await subscription.subscribe("c")
    await publish(server, "a", "after")
    await publish(server, "c", "last")

    assert await heard.next() == ("c", b"last")
    await subscription.unsubscribe("c")
    await subscription.subscribe("c")
    assert await publish(server, "c", "again") == 1
    assert await heard.next() == ("c", b"again")


async def test_many_subscribe_at_once(redis_url: str, make_server: MakeServer, listen: Listen) -> None:
    server = make_server(redis_url)
    await server.open()
    subscription, heard = listen(server)
    names = [f"c{number % 50}" for number in range(100)]
    await asyncio.gather(*(subscription.subscribe(name) for name in names))

    for name in sorted(set(names)):
        assert await publish(server, name, "x") == 1
    assert {(await heard.next())[0] for _ in range(50)} == set(names)


async def test_a_lost_connection_comes_back_and_tells_of_the_gap(
    proxy: Proxy, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}")
    await server.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a", "b")
    for _ in range(3):
        proxy.cut()
        await heard.gap()
        assert await publish(server, "b", "after") == 1
        assert await heard.next() == ("b", b"after")


async def test_a_restarted_server_is_listened_to_again(make_server: MakeServer, listen: Listen) -> None:
    with RedisServer() as process:
        server = make_server(process.url(), timeout=10)
        await server.open()
        subscription, heard = listen(server)
        await subscription.subscribe("a")
        await asyncio.to_thread(process.restart)
        await heard.gap()

        assert await publish(server, "a", "after") == 1
        assert await heard.next() == ("a", b"after")


async def test_a_dead_link_is_found_out(
    proxy: Proxy, redis_server: RedisServer, make_server: MakeServer, listen: Listen
) -> None:
    server, other = (
        make_server(f"redis://127.0.0.1:{proxy.port}", timeout=0.2),
        make_server(redis_server.url()),
    )
    await server.open()
    await other.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a")
    before = proxy.connections
    proxy.mode = "blackhole"
    await until(lambda: proxy.connections > before)
    proxy.mode = "pass"
    await heard.gap()

    assert await publish(other, "a", "after") >= 1
    assert await heard.next() == ("a", b"after")


async def test_a_quiet_link_is_kept(proxy: Proxy, make_server: MakeServer, listen: Listen) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}", timeout=0.1)
    await server.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a")
    before = proxy.connections
    await asyncio.sleep(1)

    assert proxy.connections == before
    assert heard.gaps.empty()


async def test_no_confirmation_is_a_transient_error_in_time(
    proxy: Proxy, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}", timeout=0.3)
    await server.open()
    subscription, heard = listen(server)
    proxy.mode = "blackhole"
    with pytest.raises(TransientError, match="confirmed no subscription"):
        async with asyncio.timeout(0.3):
            await subscription.subscribe("a")

    proxy.mode = "pass"
    await subscription.subscribe("b")
    assert await publish(server, "a", "x") == 0
    assert await publish(server, "b", "y") == 1
    assert await heard.next() == ("b", b"y")


async def test_an_absent_server_is_named_without_its_password(
    make_server: MakeServer, listen: Listen
) -> None:
    with RedisServer(requirepass="canary") as process:
        server = make_server(process.url(), timeout=0.5)
        await server.open()
    subscription, _ = listen(server)

    with pytest.raises(TransientError, match=f"127.0.0.1:{process.port}.*refused") as caught:
        await subscription.subscribe("a")
    assert "canary" not in str(caught.value)


async def test_a_refused_channel_is_a_permanent_error(make_server: MakeServer, listen: Listen) -> None:
    with RedisServer(user=["some on >pw ~* +@all resetchannels &good"]) as process:
        server = make_server(f"redis://some:pw@127.0.0.1:{process.port}")
        await server.open()
        subscription, heard = listen(server)
        with pytest.raises(PermanentError, match="ACL SETUSER"):
            await subscription.subscribe("bad")
        await subscription.subscribe("good")

        assert await publish(server, "good", "x") == 1
        assert await heard.next() == ("good", b"x")


async def test_a_refused_login_is_a_permanent_error(make_server: MakeServer, listen: Listen) -> None:
    with RedisServer(requirepass="canary") as process:
        server = make_server(process.url())
        await server.open()
        with process.client() as client:
            client.config_set("requirepass", "changed")
        subscription, _ = listen(server)

        with pytest.raises(PermanentError, match="refuses the login"):
            await subscription.subscribe("a")


async def test_a_failing_callback_stops_nothing(
    redis_url: str, make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server(redis_url)
    await server.open()
    second = asyncio.Event()

    def fail(channel: str, payload: bytes) -> None:
        if payload == b"second":
            second.set()
        raise RuntimeError("no good")

    subscription = Subscription(server, fail, lambda: None)
    await subscription.subscribe("a")
    await publish(server, "a", "first")
    await publish(server, "a", "second")
    async with asyncio.timeout(10):
        await second.wait()
    await subscription.close()

    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_a_cancelled_subscribe_disturbs_nobody_who_waits_for_the_same(
    proxy: Proxy, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(f"redis://127.0.0.1:{proxy.port}")
    await server.open()
    subscription, _ = listen(server)
    await subscription.subscribe("other")
    proxy.latency = 0.05
    waiting = asyncio.create_task(subscription.subscribe("a"))
    another = asyncio.create_task(subscription.subscribe("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    await another

    assert waiting.cancelled()
    assert await publish(server, "a", "x") == 1


async def test_closing_ends_it_and_it_can_begin_again(
    redis_url: str, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(redis_url)
    await server.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a")
    await subscription.close()
    await subscription.close()
    await subscription.subscribe("b")

    assert await publish(server, "b", "x") == 1
    assert await heard.next() == ("b", b"x")
    assert heard.gaps.empty()


async def test_nobody_waits_for_ever_when_it_is_closed(make_server: MakeServer, listen: Listen) -> None:
    server = make_server(f"redis://127.0.0.1:{free_port()}", timeout=30)
    subscription, _ = listen(server)
    with pytest.raises(PermanentError, match="open it first"):
        await subscription.subscribe("a")


async def test_messages_pass_through_a_cluster(
    cluster_url: str, redis_cluster: RedisCluster, make_server: MakeServer, listen: Listen
) -> None:
    server = make_server(cluster_url)
    await server.open()
    subscription, heard = listen(server)
    await subscription.subscribe("a")
    for node in redis_cluster.nodes:
        with node.client() as client:
            client.publish("a", str(node.port))

    assert {(await heard.next())[1] for _ in range(3)} == {
        str(node.port).encode() for node in redis_cluster.nodes
    }
