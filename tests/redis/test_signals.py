"""Events, orders and workers' signs of life between processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from flowrra.config import BackendConfig
from flowrra.protocols import Backend, EventStream
from flowrra.redis import scripts, signals
from flowrra.redis.backend import RedisBackend
from flowrra.reports import Event, WorkerBeat


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def here(redis_url: str) -> AsyncGenerator[RedisBackend]:
    async with opened(redis_url) as backend:
        yield backend


@pytest.fixture
async def there(redis_url: str) -> AsyncGenerator[RedisBackend]:
    async with opened(redis_url) as backend:
        yield backend


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[RedisBackend]:
    backend = RedisBackend(BackendConfig(url=url))
    await backend.open()
    yield backend
    await backend.close()


def stream_of(backend: Backend) -> EventStream:
    assert backend.stream is not None
    return backend.stream


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.002)


def listeners(client: Any, channel: str) -> int:
    return dict(client.pubsub_numsub(channel))[channel.encode()]


async def heard(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


async def test_publishers_know_of_listeners_elsewhere(
    here: RedisBackend, there: RedisBackend, client: Any
) -> None:
    """And of nobody, once they have looked."""
    await until(lambda: not stream_of(here).watched)
    task = asyncio.create_task(heard(stream_of(there).events()))
    await until(lambda: stream_of(here).watched)
    await until(lambda: listeners(client, signals.EVENTS))
    event = Event("started", 1.5, "an-id", "work", "mail", {"n": [1, None, "é"]})
    await stream_of(here).publish([event])
    await stream_of(there).publish([Event("cancel", 2.0, "an-id")])
    await until(lambda: stream_of(there)._listeners == {} or _waiting_events(there) == 0)
    await there.close()
    assert await asyncio.wait_for(task, 4) == [event, Event("cancel", 2.0, "an-id")]
