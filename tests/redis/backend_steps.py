"""What tests of the Redis backend do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from flowrra.config import BackendConfig
from flowrra.redis.backend import RedisBackend

#: When records are made that need no real time.
NOW = 1_800_000_000.0

#: Makes and opens a backend of the given settings.
Make: TypeAlias = Callable[..., Awaitable[RedisBackend]]


@asynccontextmanager
async def backends(url: str) -> AsyncGenerator[Make]:
    """Makes backends at *url*, unless another is given; they are closed in the end."""
    async with AsyncExitStack() as stack:

        async def make(url: str = url, **settings: Any) -> RedisBackend:
            backend = RedisBackend(BackendConfig(url=url, **settings))
            stack.push_async_callback(backend.close)
            await backend.open()
            return backend

        yield make


async def until(condition: Callable[[], object]) -> None:
    """Return when *condition* holds: what only the server knows has to be asked for."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
