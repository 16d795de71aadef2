"""A Redis server, and rigs on it that end with their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from rig import Rig
from servers import RedisServer


@pytest.fixture(scope="session")
def chaos_server() -> Iterator[RedisServer]:
    """A server that many tests share; each leaves it running and as it was configured."""
    with RedisServer() as server:
        yield server


@pytest.fixture
async def make_rig(chaos_server: RedisServer, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Make an application on the empty server, with settings of ``BrokerConfig``; it ends after the test."""
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Rig:
            with chaos_server.client() as client:
                client.flushall()
            return await stack.enter_async_context(Rig(tmp_path, chaos_server.url(), **settings))

        yield make


@pytest.fixture
async def rig(make_rig: Callable[..., Awaitable[Rig]]) -> Rig:
    """An application on the empty server."""
    return await make_rig()
