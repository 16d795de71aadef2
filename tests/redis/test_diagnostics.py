"""What doctor and the log say of a server on which tasks and results may be lost."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from backend_steps import NOW, backends, until
from servers import RedisServer

from flowrra.exceptions import TransientError
from flowrra.redis.backend import RedisBackend
from flowrra.reports import Finding, RunFilter
from flowrra.testing.factories import make_record

CANARY = "canary-9f3"


async def findings(backend: RedisBackend) -> dict[str, Finding]:
    assert backend.diagnostics is not None
    return {finding.name: finding for finding in await backend.diagnostics.findings()}


async def test_a_safe_server_has_nothing_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(appendonly="yes", requirepass=CANARY) as server:
        async with backends(server.url()) as make:
            found = await findings(await make())
    assert all(finding.ok for finding in found.values()), found
    assert list(found) == ["latency", "version", "eviction", "persistence", "memory", "clock", "mode"]
    assert str(server.port) in found["latency"].detail
    assert CANARY not in str(found) + caplog.text
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_an_unsafe_server_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"maxmemory": "2mb", "maxmemory_policy": "allkeys-lru", "requirepass": CANARY}
    with RedisServer(**options) as server:
        async with backends(server.url()) as make:
            found = await findings(await make())
            await make()
    assert {name for name, finding in found.items() if not finding.ok} >= {"eviction", "persistence"}
    assert "noeviction" in str(found["eviction"].advice)
    assert "appendonly yes" in str(found["persistence"].advice)
    [warning] = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    for part in ("allkeys-lru", "noeviction", "appendonly yes", str(server.port)):
        assert part in warning
    assert CANARY not in str(found) + caplog.text


async def test_snapshots_alone_are_no_fault_but_told() -> None:
    with RedisServer(save="3600 1") as server:
        async with backends(server.url()) as make:
            persistence = (await findings(await make()))["persistence"]
    assert persistence.ok
    assert "appendonly yes" in persistence.detail


async def test_a_look_shows_what_was_changed_meanwhile() -> None:
    with RedisServer(appendonly="yes") as server, server.client() as client:
        async with backends(server.url()) as make:
            backend = await make()
            client.config_set("maxmemory-policy", "volatile-ttl")
            client.config_set("maxmemory", "100kb")
            found = await findings(backend)
    assert {name for name, finding in found.items() if not finding.ok} == {"eviction", "memory"}


async def test_clocks_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(appendonly="yes") as server:
        async with backends(server.url()) as make:
            backend = await make()
            real = backend._clock.time
            monkeypatch.setattr(backend._clock, "time", lambda: real() + 90)
            clock = (await findings(backend))["clock"]
    assert not clock.ok
    assert "90." in clock.detail


async def test_what_may_not_be_asked_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A user who may do only what Flowrra needs, on its own keys and channels, can use it."""
    acl = f"on >{CANARY} ~flowrra:* &flowrra:* +@all -@admin -@dangerous"
    with RedisServer() as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", *acl.split())
        url = server.url().replace("redis://", f"redis://worker:{CANARY}@")
        async with backends(url) as make:
            backend = await make()
            found = await findings(backend)
            record = make_record(NOW)
            waiting = asyncio.create_task(backend.wait(record.message.id, None))
            await until(lambda: client.exists(f"flowrra:w:{{{record.message.id}}}"))
            await backend.store([record])
            assert await asyncio.wait_for(waiting, 4) == record
            assert backend.history is not None
            assert (await backend.history.query(RunFilter(), 10)).records == [record]
    assert all(finding.ok for finding in found.values()), found
    assert "unknown" in found["persistence"].detail
    assert CANARY not in str(found) + caplog.text


async def test_a_server_that_is_gone_raises() -> None:
    with RedisServer() as server:
        async with backends(server.url()) as make:
            backend = await make(socket_timeout=0.3)
            server.kill()
            with pytest.raises(TransientError):
                await findings(backend)
