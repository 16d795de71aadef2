"""Events, orders and workers' signs of life between processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
from backend_steps import NOW, Make, backends, until
from servers import RedisServer

from flowrra.exceptions import PermanentError
from flowrra.redis import scripts, signals
from flowrra.redis.backend import RedisBackend
from flowrra.redis.signals import EVENTS, ORDERS, RedisStream
from flowrra.reports import Event, WorkerBeat

ORDER = Event("cancel", 2.0, "an-id")


@pytest.fixture
async def make(redis_url: str) -> AsyncGenerator[Make]:
    async with backends(redis_url) as make:
        yield make


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        yield client


def stream_of(backend: RedisBackend) -> RedisStream:
    assert isinstance(backend.stream, RedisStream)
    return backend.stream


class Listener:
    """Collects the events of a stream from when the server knows of it until the stream ends."""

    def __init__(self, stream: RedisStream, kinds: set[str] | None = None) -> None:
        self.heard: list[Event] = []
        self.task = asyncio.create_task(self._listen(stream.events(kinds)))

    async def _listen(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            self.heard.append(event)


def listeners(client: Any, channel: str) -> int:
    return int(dict(client.pubsub_numsub(channel))[channel.encode()])


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def test_publishers_know_of_listeners_elsewhere(make: Make, client: Any) -> None:
    """And of nobody, once they have looked. What a listener gets is whole."""
    here, there = stream_of(await make()), stream_of(await make())
    await until(lambda: not here.watched)
    listener = Listener(there)
    await until(lambda: here.watched)
    await until(lambda: listeners(client, EVENTS) and listeners(client, ORDERS))
    event = Event("started", 1.5, "an-id", "work", "mail", {"n": [1, None, "é"]})
    await here.publish([event])
    await here.publish([ORDER, event])
    await until(lambda: len(listener.heard) == 3)
    assert sorted(listener.heard, key=lambda each: each.kind) == [ORDER, event, event]
    await stopped(listener.task)


async def test_who_takes_orders_hears_nothing_else_and_does_not_count_as_watching(
    make: Make, client: Any
) -> None:
    here, there = stream_of(await make()), stream_of(await make())
    listener = Listener(there, {"cancel"})
    await until(lambda: listeners(client, ORDERS))
    assert not there._watches()
    await until(lambda: not here.watched)
    await here.publish([Event("started", 1.0), ORDER])
    await until(lambda: listener.heard)
    assert listener.heard == [ORDER]
    assert listeners(client, EVENTS) == 0
    await stopped(listener.task)


async def test_the_last_listener_to_leave_leaves_the_channels(make: Make, client: Any) -> None:
    stream = stream_of(await make())
    one, two = Listener(stream), Listener(stream, {"started"})
    await until(lambda: listeners(client, EVENTS) and listeners(client, ORDERS))
    await stopped(one.task)
    await until(lambda: not listeners(client, ORDERS))
    await stream.publish([ORDER, Event("finished", 1.0), Event("started", 2.0)])
    await until(lambda: two.heard)
    assert two.heard == [Event("started", 2.0)]
    await stopped(two.task)
    await until(lambda: not listeners(client, EVENTS))


async def test_a_listener_outlives_a_lost_connection(make: Make, client: Any) -> None:
    here, there = stream_of(await make()), stream_of(await make())
    listener = Listener(there)
    await until(lambda: listeners(client, EVENTS))
    client.client_kill_filter(_type="pubsub")
    await until(lambda: not listeners(client, EVENTS))
    await until(lambda: listeners(client, EVENTS))
    await here.publish([Event("started", 1.0)])
    await until(lambda: listener.heard)
    await stopped(listener.task)


async def test_a_listener_waits_for_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes orders must hear them when the server is back."""
    monkeypatch.setattr(signals, "_TRY_AGAIN", 0.05)
    with RedisServer() as server:
        async with backends(server.url()) as make:
            stream = stream_of(await make(socket_timeout=0.2))
            await asyncio.to_thread(server.kill)
            listener = Listener(stream, {"cancel"})
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.start)
            with server.client() as client:
                await until(lambda: listeners(client, ORDERS))
            await stream.publish([ORDER])
            await until(lambda: listener.heard)
            await stopped(listener.task)


async def test_a_listener_that_leaves_at_once_disturbs_no_other(make: Make) -> None:
    """Whatever the moment: while the server is asked for the channel, or later."""
    here, there = stream_of(await make()), stream_of(await make())
    for turns in range(30):
        fleeting, staying = Listener(there), Listener(there)
        for _ in range(turns):
            await asyncio.sleep(0)
        await stopped(fleeting.task)
        await until(lambda: there._tuned == {EVENTS, ORDERS})
        await here.publish([ORDER])
        await until(lambda heard=staying.heard: heard)
        await stopped(staying.task)


async def test_a_refusal_reaches_the_listener() -> None:
    with RedisServer() as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "deaf", "on", "nopass", "~*", "resetchannels", "+@all")
        async with backends(server.url().replace("redis://", "redis://deaf:x@")) as make:
            stream = stream_of(await make())
            with pytest.raises(PermanentError, match="SUBSCRIBE"):
                await asyncio.wait_for(anext(stream.events()), 4)


async def test_closing_the_backend_ends_its_listeners(make: Make, client: Any) -> None:
    backend = await make()
    listener = Listener(stream_of(backend))
    await until(lambda: listeners(client, EVENTS))
    await backend.close()
    await asyncio.wait_for(listener.task, 4)
    assert not stream_of(backend)._listeners


async def test_unknown_means_watched(make: Make) -> None:
    """Who never looked, or looked long ago, must not stay silent."""
    stream = stream_of(await make())
    assert stream.watched
    await until(lambda: not stream.watched)
    stream._looked_at -= 60
    assert stream.watched
    await until(lambda: not stream.watched)


@pytest.fixture
def at(redis_url: str) -> Iterator[Callable[[float], None]]:
    """Sets the time of the server's scripts, in epoch seconds."""

    def set_time(seconds: float) -> None:
        scripts.replace_clock(f"local function now() return {seconds * 1e6:.0f} end")

    yield set_time
    scripts.replace_clock(None)


async def test_a_lost_worker_leaves_the_board_after_an_hour(make: Make, at: Callable[[float], None]) -> None:
    backend = await make()
    assert backend.board is not None
    beat = WorkerBeat(name="host:1", host="host", pid=1, started_at=0.0, beat_at=1.0, queues=None, slots={})
    at(NOW)
    await backend.board.beat(beat, 15.0)
    at(NOW + 15 + 3599)
    assert await backend.board.workers() == [beat]
    at(NOW + 15 + 3601)
    assert await backend.board.workers() == []
