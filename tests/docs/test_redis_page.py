"""What the page on Redis says of keys and rights is so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import redis
from snippets import ROOT

from flowrra import Flowrra, current_task
from flowrra.management import FlowrraManager

PAGE = (ROOT / "docs/reference/redis.md").read_text(encoding="utf-8")

#: Where nothing lasts long enough to be seen here, or a scheduler would be needed.
UNSEEN = {f"flowrra:{{QUEUE}}:{name}" for name in ("ticks", "reason", "dead", "cancels")}


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def documented() -> dict[str, tuple[re.Pattern[str], str]]:
    """Pattern and type of each key of the table."""
    rows = re.findall(r"^\| `(flowrra:[^`]+)` \| (\w+) \|", PAGE, re.MULTILINE)
    return {
        name: (re.compile(re.sub(r"[A-Z]+", ".+", re.escape(name)), re.DOTALL), kind) for name, kind in rows
    }


async def listen(app: Flowrra) -> None:
    """Follow the events of all processes, as a dashboard does."""
    async with aclosing(app.engine.connections.backend.stream.events()) as events:
        async for _ in events:
            pass


@asynccontextmanager
async def at_work(url: str) -> AsyncIterator[Flowrra]:
    """An application that has done, and does, a little of everything."""
    app = Flowrra(broker=f"{url}/0")
    begun = asyncio.Event()

    @app.task(max_retries=1, retry_delay=60)
    async def fail() -> None:
        raise ValueError

    @app.task()
    async def run() -> None:
        current_task().progress(1, 2)
        begun.set()
        await asyncio.Event().wait()

    @app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    app.queues = ("default",)
    manager = FlowrraManager(app)
    async with app:
        assert await (await add.submit(1, 2)).result(timeout=10) == 3
        await fail.submit()
        running = await run.submit()
        await begun.wait()
        await add.options(unique_key="one", delay=60).submit(1, 2)
        await add.options(queue="elsewhere").submit(1, 2)
        await manager.pause("elsewhere")
        waiting = asyncio.create_task(running.result())
        listening = asyncio.create_task(listen(app))
        try:
            yield app
        finally:
            await running.cancel()
            listening.cancel()
            await asyncio.gather(waiting, listening, return_exceptions=True)


async def test_every_key_is_in_the_table(redis_url: str, client: redis.Redis) -> None:
    """With its type; and no row of the table is made up."""
    rows = documented()
    unseen = set(rows) - UNSEEN
    async with at_work(redis_url), asyncio.timeout(30):
        while unseen:
            for key in client.scan_iter():
                kind = client.type(key)
                found = [name for name, (pattern, _) in rows.items() if pattern.fullmatch(key)]
                assert [rows[name][1] for name in found] == [kind] or kind == "none", (key, kind)
                unseen -= set(found)
            await asyncio.sleep(0.02)


async def test_the_rights_are_enough(redis_url: str, client: redis.Redis) -> None:
    """With the line of the page a worker, a producer and an operator are refused nothing."""
    [line] = re.findall(r"^ACL SETUSER flowrra .*$", PAGE, re.MULTILINE)
    client.execute_command("ACL", "LOG", "RESET")
    client.execute_command(*line.split())
    try:
        async with at_work(redis_url.replace("//", "//flowrra:password@")) as app:
            manager = FlowrraManager(app)
            await manager.runs()
            await manager.stats()
            await manager.workers()
            await manager.purge("elsewhere")
            await manager.resume("elsewhere")
            diagnostics = app.engine.connections.broker.diagnostics
            assert all(finding.ok for finding in await diagnostics.findings())
        assert client.execute_command("ACL", "LOG") == []
    finally:
        client.execute_command("ACL", "DELUSER", "flowrra")
