"""Redis servers for the tests of one process, and connections that end with their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis
from proxy import Proxy
from servers import RedisCluster, RedisServer, environment_url

from flowrra.redis.addresses import Address
from flowrra.redis.link import Link
from flowrra.redis.server import Server
from flowrra.url import URL


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that many tests share; each leaves it running and as it was configured."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty server. ``FLOWRRA_TEST_REDIS_URL`` names another one than a private one."""
    url = environment_url()
    if url is None:
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url()
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Three nodes that many tests share."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture
def cluster_url(redis_cluster: RedisCluster) -> str:
    """An empty cluster."""
    redis_cluster.flush()
    return redis_cluster.url()


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[Proxy]:
    """A proxy before the shared server."""
    async with Proxy(redis_server.port) as proxy:
        yield proxy


@pytest.fixture
async def make_link() -> AsyncIterator[Callable[..., Link]]:
    """Make links to URLs; they are closed after the test."""
    made: list[Link] = []

    def make(url: str, timeout: float = 2, retry_on_timeout: bool = True) -> Link:
        address = Address.of(URL.parse(url))
        made.append(Link(address, timeout=timeout, retry_on_timeout=retry_on_timeout))
        return made[-1]

    yield make
    for link in made:
        await link.close()


@pytest.fixture
async def make_server() -> AsyncIterator[Callable[..., Server]]:
    """Make servers, not yet open, for URLs; they are closed after the test."""
    made: list[Server] = []

    def make(
        url: str, timeout: float = 2, retry_on_timeout: bool = True, max_connections: int = 50
    ) -> Server:
        made.append(
            Server(
                URL.parse(url),
                timeout=timeout,
                retry_on_timeout=retry_on_timeout,
                max_connections=max_connections,
            )
        )
        return made[-1]

    yield make
    for server in made:
        await server.close()
