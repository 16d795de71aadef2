"""A Redis server for what the documentation shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server as the documentation wants it: it writes to disk, and nothing is evicted."""
    with RedisServer(appendonly="yes") as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Its URL without a database. It is empty."""
    with redis_server.client() as client:
        client.flushall()
    return f"redis://127.0.0.1:{redis_server.port}"
