"""One connection: it opens itself again, keeps replies apart, and never makes anybody wait too long."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from proxy import Proxy
from redis.exceptions import ResponseError
from servers import RedisServer, free_port, until

from flowrra.exceptions import PermanentError, TransientError
from flowrra.redis.link import Link

SECRET = "canary/42:?@"

MakeLink = Callable[..., Link]


def through(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}/0"


async def test_replies_come_in_order_with_errors_in_their_place(redis_url: str, make_link: MakeLink) -> None:
    link = make_link(redis_url)

    replies = await link.call(
        [
            ("SET", "a", "1"),
            ("INCR", "a"),
            ("LPUSH", "a", "x"),
            ("NOSUCH",),
            ("GET", "a"),
            ("LRANGE", "b", 0, -1),
        ]
    )

    assert replies[:2] == [b"OK", 2]
    assert isinstance(replies[2], ResponseError)
    assert isinstance(replies[3], ResponseError)
    assert replies[4:] == [b"2", []]


async def test_arguments_may_be_any_bytes_and_numbers(redis_url: str, make_link: MakeLink) -> None:
    link = make_link(redis_url)
    blob = bytes(range(256)) * 2000

    replies = await link.call(
        [
            ("SET", "blob", blob),
            ("GET", "blob"),
            ("SET", "n", 1.5),
            ("GET", "n"),
            ("SET", "t", "ü"),
            ("GET", "t"),
        ]
    )

    assert replies[1::2] == [blob, b"1.5", "ü".encode()]


async def test_large_batches_pass_in_both_directions(redis_url: str, make_link: MakeLink) -> None:
    link = make_link(redis_url, timeout=20)
    blob = b"x" * 10_000

    replies = await link.call([part for i in range(1000) for part in (("SET", i, blob), ("GET", i))])

    assert replies == [b"OK", blob] * 1000


async def test_callers_share_a_connection_without_mixing_replies(redis_url: str, make_link: MakeLink) -> None:
    link = make_link(redis_url)

    replies = await asyncio.gather(*(link.call([("ECHO", n)]) for n in range(200)))

    assert replies == [[str(n).encode()] for n in range(200)]


async def test_a_refused_connection_is_a_transient_error_in_time(make_link: MakeLink) -> None:
    port = free_port()
    link = make_link(f"redis://user:{SECRET.replace('/', '%2F').replace('?', '%3F')}@127.0.0.1:{port}/3", 0.5)

    with pytest.raises(TransientError) as caught:
        async with asyncio.timeout(0.5):
            await link.call([("PING",)])

    message = str(caught.value)
    assert f"redis://127.0.0.1:{port}/3" in message
    assert "refused" in message
    assert "0.475 s" in message
    assert "Check that it runs" in message
    assert "canary" not in message
    assert "user" not in message


async def test_a_server_that_starts_late_is_reached(make_link: MakeLink) -> None:
    server = RedisServer()
    try:
        link = make_link(server.url(), 20)
        call = asyncio.create_task(link.call([("PING",)]))
        await asyncio.to_thread(server.start)

        assert await call == [b"PONG"]
    finally:
        server.remove()


async def test_a_restarted_server_is_reached_again(make_link: MakeLink) -> None:
    with RedisServer() as server:
        link = make_link(server.url(), 10)
        await link.call([("PING",)])
        await asyncio.to_thread(server.restart)

        assert await link.call([("PING",)]) == [b"PONG"]


async def test_a_killed_connection_comes_back(redis_server: RedisServer, make_link: MakeLink) -> None:
    link = make_link(redis_server.url())
    await link.call([("PING",)])
    first = link.client_id
    with redis_server.client() as client:
        client.client_kill_filter(_id=str(first))

    assert await link.call([("PING",)]) == [b"PONG"]
    assert link.client_id != first


@pytest.mark.parametrize("retry", [True, False])
async def test_a_black_hole_is_a_transient_error_in_time(
    proxy: Proxy, make_link: MakeLink, retry: bool
) -> None:
    link = make_link(through(proxy), 0.5, retry)
    await link.call([("PING",)])
    proxy.mode = "blackhole"

    with pytest.raises(TransientError, match="gave no answer"):
        async with asyncio.timeout(0.5):
            await link.call([("PING",)])

    assert proxy.connections == (2 if retry else 1)
    proxy.mode = "pass"
    assert await link.call([("PING",)]) == [b"PONG"]


async def test_one_unanswered_try_is_repeated(proxy: Proxy, make_link: MakeLink) -> None:
    """Half of the time is kept for a second try, on a new connection."""
    link = make_link(through(proxy), 2)
    await link.call([("PING",)])
    proxy.mode = "blackhole"
    call = asyncio.create_task(link.call([("PING",)]))
    await until(lambda: not link.client_id)
    proxy.mode = "pass"

    assert await call == [b"PONG"]
    assert proxy.connections == 2


async def test_a_reset_connection_is_tried_again_with_pauses(proxy: Proxy, make_link: MakeLink) -> None:
    link = make_link(through(proxy), 1)
    await link.call([("PING",)])
    proxy.mode = "reset"

    with pytest.raises(TransientError):
        await link.call([("PING",)])

    assert 3 <= proxy.connections <= 20
    proxy.mode = "pass"
    assert await link.call([("PING",)]) == [b"PONG"]


async def test_a_lost_reply_makes_the_command_run_again(proxy: Proxy, make_link: MakeLink) -> None:
    link = make_link(through(proxy))
    await link.call([("DEL", "n")])
    proxy.drops = 1

    assert await link.call([("INCR", "n")]) == [2]


async def test_bytes_may_come_one_by_one_and_slowly(proxy: Proxy, make_link: MakeLink) -> None:
    proxy.slice, proxy.bandwidth = 1, 100_000
    link = make_link(through(proxy), 10)

    assert await link.call([("ECHO", "x" * 500), ("PING",)]) == [b"x" * 500, b"PONG"]


async def test_a_cancelled_call_leaves_no_reply_to_others(
    proxy: Proxy, make_link: MakeLink, soaked: Callable[[int], int]
) -> None:
    proxy.latency = 0.005
    link = make_link(through(proxy), 20)
    chance = random.Random(7)
    for number in range(soaked(1000)):
        call = asyncio.create_task(link.call([("ECHO", f"cancelled {number}")]))
        await asyncio.sleep(chance.uniform(0, 0.02))
        call.cancel()
        assert await link.call([("ECHO", number)]) == [str(number).encode()]
        await asyncio.wait([call])


async def test_a_caller_who_gives_up_waiting_disturbs_nobody(proxy: Proxy, make_link: MakeLink) -> None:
    """Cancelling a call whose turn has not come keeps the connection of the one whose turn it is."""
    proxy.latency = 0.02
    link = make_link(through(proxy))
    await link.call([("PING",)])
    first = asyncio.create_task(link.call([("ECHO", "first")]))
    second = asyncio.create_task(link.call([("ECHO", "second")]))
    await until(lambda: link.is_busy)
    second.cancel()

    assert await first == [b"first"]
    assert proxy.connections == 1


async def test_a_wrong_password_is_a_permanent_error_without_it(make_link: MakeLink) -> None:
    with RedisServer(requirepass="right") as server:
        wrong = make_link(f"redis://:canary-wrong@127.0.0.1:{server.port}/0")
        missing = make_link(f"redis://127.0.0.1:{server.port}/0")
        right = make_link(server.url())

        for link in (wrong, missing):
            with pytest.raises(PermanentError, match="refuses the login") as caught:
                await link.call([("PING",)])
            assert "canary" not in str(caught.value)
        assert await right.call([("PING",)]) == [b"PONG"]


async def test_a_user_with_few_rights_can_connect(make_link: MakeLink) -> None:
    """Whoever may not name its connection goes without a name."""
    user = "worker on >pw/1 ~* -@all +get +set +auth +select"
    with RedisServer(user=[user]) as server:
        link = make_link(f"redis://worker:pw%2F1@127.0.0.1:{server.port}/0")
        wrong = make_link(f"redis://nobody:pw%2F1@127.0.0.1:{server.port}/0")

        replies = await link.call([("SET", "a", 1), ("GET", "a"), ("DEL", "a")])
        assert replies[:2] == [b"OK", b"1"]
        assert isinstance(replies[2], ResponseError)
        assert link.client_id is None
        with pytest.raises(PermanentError, match="refuses the login"):
            await wrong.call([("GET", "a")])


async def test_a_database_that_is_not_there_is_a_permanent_error(
    redis_server: RedisServer, make_link: MakeLink
) -> None:
    link = make_link(redis_server.url(database=999))

    with pytest.raises(PermanentError, match="database"):
        await link.call([("PING",)])


async def test_what_is_no_redis_server_is_a_permanent_error(make_link: MakeLink) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as web:
        port = web.sockets[0].getsockname()[1]
        with pytest.raises(PermanentError, match="no Redis server"):
            await make_link(f"redis://127.0.0.1:{port}").call([("PING",)])


async def test_databases_are_apart(redis_url: str, redis_server: RedisServer, make_link: MakeLink) -> None:
    first, second = make_link(redis_server.url(database=1)), make_link(redis_server.url(database=2))
    await first.call([("SET", "a", "1")])

    assert await second.call([("GET", "a")]) == [None]
    assert await first.call([("GET", "a")]) == [b"1"]


async def test_a_unix_socket_is_reached(make_link: MakeLink) -> None:
    with RedisServer(unix=True, requirepass="pw") as server:
        link = make_link(f"{server.unix_url(2)}&password=pw")
        wrong = make_link(f"{server.unix_url()}&password=canary")

        assert await link.call([("PING",)]) == [b"PONG"]
        with pytest.raises(PermanentError, match="refuses the login") as caught:
            await wrong.call([("PING",)])
        assert "canary" not in str(caught.value)
        server.kill()
        with pytest.raises(TransientError, match=r"unix:///.*redis\.sock\?db=2"):
            await make_link(f"{server.unix_url(2)}&password=pw", 0.3).call([("PING",)])


async def test_tls_needs_a_certificate_that_it_can_trust(make_link: MakeLink) -> None:
    with RedisServer(tls=True) as server:
        trusted = make_link(server.url())
        unknown = make_link(f"rediss://127.0.0.1:{server.port}")
        unchecked = make_link(f"rediss://127.0.0.1:{server.port}?ssl_cert_reqs=none")
        plain = make_link(f"redis://127.0.0.1:{server.port}", 0.5)

        assert await trusted.call([("PING",)]) == [b"PONG"]
        assert await unchecked.call([("PING",)]) == [b"PONG"]
        with pytest.raises(PermanentError, match="ssl_ca_certs"):
            await unknown.call([("PING",)])
        with pytest.raises(TransientError):
            await plain.call([("PING",)])


async def test_tls_with_a_certificate_of_the_client(make_link: MakeLink) -> None:
    with RedisServer(tls=True, tls_auth_clients="no") as server:
        certificate = {
            "ssl_certfile": str(server.folder / "client.pem"),
            "ssl_keyfile": str(server.folder / "client.key"),
        }
        with server.client() as client:
            client.config_set("tls-auth-clients", "yes")

        assert await make_link(server.url(**certificate)).call([("PING",)]) == [b"PONG"]
        with pytest.raises((PermanentError, TransientError)):
            await make_link(server.url(), 0.5).call([("PING",)])


async def test_block_waits_for_its_reply(redis_url: str, make_link: MakeLink) -> None:
    waiting, other = make_link(redis_url, 0.5), make_link(redis_url)
    blocked = asyncio.create_task(waiting.block(("BLPOP", "wake", 5), 5))
    await until(lambda: waiting.client_id)
    await other.call([("LPUSH", "wake", "now")])

    assert await blocked == [b"wake", b"now"]
    assert await waiting.block(("BLPOP", "wake", 0.05), 0.05) is None


async def test_block_ends_early_when_its_connection_broke(proxy: Proxy, make_link: MakeLink) -> None:
    link = make_link(through(proxy), 10)
    blocked = asyncio.create_task(link.block(("BLPOP", "nothing", 30), 30))
    await until(lambda: link.client_id)
    proxy.cut()

    assert await blocked is None
    assert await link.call([("PING",)]) == [b"PONG"]


async def test_block_on_a_dead_link_is_a_transient_error(proxy: Proxy, make_link: MakeLink) -> None:
    link = make_link(through(proxy), 0.3)
    await link.call([("PING",)])
    proxy.mode = "blackhole"

    with pytest.raises(TransientError, match="gave no answer"):
        await link.block(("BLPOP", "nothing", 0.1), 0.1)


async def test_a_closed_link_stays_closed(redis_url: str, make_link: MakeLink) -> None:
    link = make_link(redis_url)
    await link.call([("PING",)])
    blocked = asyncio.create_task(link.block(("BLPOP", "nothing", 30), 30))
    await until(lambda: link.is_busy)
    await link.close()
    await link.close()

    with pytest.raises(PermanentError, match="closed"):
        await blocked
    with pytest.raises(PermanentError, match="closed"):
        await link.call([("PING",)])


async def test_nothing_in_a_link_shows_the_password(make_link: MakeLink) -> None:
    link = make_link("redis://user:canary@127.0.0.1:1/0")

    assert "canary" not in repr(link)
    assert "canary" not in repr(link.address)
    assert "canary" not in repr(link.address.wire())
