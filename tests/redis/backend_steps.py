"""What tests of the Redis backend do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from flowrra.config import BackendConfig
from flowrra.redis.backend import RedisBackend

#: When records are made that need no real time.
NOW = 1_800_000_000.0


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncGenerator[RedisBackend]:
    """A backend for as long as the block takes."""
    backend = RedisBackend(BackendConfig(url=url, **settings))
    await backend.open()
    yield backend
    await backend.close()


async def until(condition: Callable[[], object]) -> None:
    """Return when *condition* holds: what only the server knows has to be asked."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
