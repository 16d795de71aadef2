"""Listing runs answers as the reference implementation does, and records go together with their listing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
import redis
from backend_steps import NOW, Make, backends, until

from flowrra.exceptions import DecodingError
from flowrra.memory import MemoryBackend
from flowrra.message import Record
from flowrra.protocols import RunHistory
from flowrra.redis import history
from flowrra.redis.backend import RedisBackend
from flowrra.redis.calls import Plain, Role
from flowrra.redis.records import record_key
from flowrra.redis.runs import RUNS_KEY
from flowrra.reports import RunFilter
from flowrra.status import TaskStatus
from flowrra.testing.factories import make_message, make_record

ALL = RunFilter()
QUEUES, TASKS, WORKERS = ["default", "mail"], ["work", "tâche", "work:more"], ["worker-1", "rare", None]


@pytest.fixture
async def make(redis_url: str) -> AsyncGenerator[Make]:
    async with backends(redis_url) as make:
        yield make


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        yield client


@pytest.fixture
async def backend(make: Make) -> RedisBackend:
    return await make()


def some_record(source: random.Random, number: int) -> Record:
    status = source.choice([TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED])
    dead = status is TaskStatus.FAILED and source.random() < 0.5
    prefix = source.choice(["ab-", "ab*", "AB-", "é-", "z\x7f"])
    message = make_message(
        f"{prefix}{source.randrange(10**6)}-{number}",
        queue=source.choice(QUEUES), task=source.choice(TASKS),
    )  # fmt: skip
    # Few different times, so that many runs finish at the same one.
    return make_record(
        NOW + source.randrange(8) / 4, message, status=status, dead_reason="broken" if dead else None,
        worker=source.choices(WORKERS, [20, 1, 5])[0],
    )  # fmt: skip


def some_filter(source: random.Random) -> RunFilter:
    statuses = [TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.CANCELLED]
    given: dict[str, Any] = {
        "statuses": frozenset(source.sample(statuses, source.randrange(4))),
        "task": source.choice([*TASKS, "unknown"]),
        "queue": source.choice(QUEUES),
        "worker": source.choice(["worker-1", "rare"]),
        "id_prefix": source.choice(["ab", "ab*", "é", "z", ""]),
        "since": NOW + source.randrange(8) / 4,
        "until": NOW + source.randrange(9) / 4,
        "dead": source.choice([True, False]),
    }
    return RunFilter(**{name: given[name] for name in source.sample(list(given), source.randrange(4))})


async def pages(history: RunHistory, where: RunFilter, limit: int) -> list[list[Record]]:
    found: list[list[Record]] = []
    cursor: str | None = None
    while True:
        page = await history.query(where, limit, cursor)
        found.append(page.records)
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [(200, 2_000), (3, 7)])
async def test_answers_are_those_of_the_reference(
    backend: RedisBackend, monkeypatch: pytest.MonkeyPatch, seed: int, steps: tuple[int, int]
) -> None:
    """Also in steps so small that every page takes many."""
    monkeypatch.setattr(history, "_FETCHED", steps[0])
    monkeypatch.setattr(history, "_LOOKED_AT", steps[1])
    source = random.Random(seed)
    reference = MemoryBackend()
    records = [some_record(source, number) for number in range(150)]
    for store in (backend.store, reference.store):
        await store(records)
    assert backend.history is not None
    assert reference.history is not None
    for _ in range(25):
        where, limit = some_filter(source), source.choice([1, 2, 7, 50, 200])
        expected = await pages(reference.history, where, limit)
        assert await pages(backend.history, where, limit) == expected, where
        for most in (1, 20, 500):
            assert await backend.history.count(where, most) == await reference.history.count(where, most)


async def test_ten_thousand_runs_of_one_moment_are_paged(backend: RedisBackend) -> None:
    """The place of a page is found without going through all that comes before it."""
    records = [make_record(NOW, make_message(f"{number:05}")) for number in range(10_000)]
    await backend.store(records)
    page = (
        await backend.history.query(RunFilter(), 3, f"{round(NOW * 1_000_000)}:00005")
        if backend.history
        else None
    )
    assert page is not None
    assert [record.message.id for record in page.records] == ["00004", "00003", "00002"]


async def test_what_is_no_cursor_is_refused(backend: RedisBackend) -> None:
    assert backend.history is not None
    for cursor in ("", "x", "12", "1e5:id", "-1:id"):
        with pytest.raises(ValueError, match="is no cursor"):
            await backend.history.query(RunFilter(), 3, cursor)


async def test_statistics_reach_back_one_day(backend: RedisBackend) -> None:
    assert backend.history is not None
    now = backend._clock.time()
    await backend.store([make_record(now - age) for age in (0, 3_600, 23 * 3_600)])
    assert len(await backend.history.statistics(0.0)) == 3
    assert len(await backend.history.statistics(now - 2 * 3_600)) == 2


async def test_time_takes_record_and_listing_together(make: Make, client: Any) -> None:
    backend = await make(ttl=1)
    now = backend._clock.time()
    await backend.store([make_record(now), make_record(now)])
    assert await backend.history.count(ALL, 10) == 2
    await until(lambda: not client.keys("flowrra:r:*"))
    assert await backend.history.count(ALL, 10) == 0
    assert (await backend.history.query(ALL, 10)).records == []
    left = {key.decode() for key in client.keys("flowrra:{runs}:*")}
    assert not {key for key in left if not key.startswith("flowrra:{runs}:m:")}


async def test_the_oldest_make_room(make: Make, client: Any, cluster_url: str) -> None:
    for url in (None, cluster_url):
        backend = await (make(history_limit=10) if url is None else make(url, history_limit=10))
        records = [make_record(NOW + number, make_message(task=f"task-{number % 3}")) for number in range(25)]
        for start in range(0, 25, 5):
            await backend.store(records[start : start + 5])
        assert (await backend.history.query(ALL, 100)).records == records[:-11:-1]
        ids = [record.message.id for record in records]
        assert await backend.get(ids) == [None] * 15 + records[15:]
    assert client.llen("flowrra:{runs}:log") == 10


async def test_a_lowered_limit_is_reached_step_by_step(make: Make, client: Any) -> None:
    many = await make()
    await many.store([make_record(NOW + number) for number in range(1_000)])
    few = await make(history_limit=10)
    for number in range(6):
        await few.store([make_record(NOW + 1_000 + number)])
    assert client.llen("flowrra:{runs}:log") == 10
    assert len(client.keys("flowrra:r:*")) == 10


async def test_a_task_that_was_requeued_is_listed_by_its_newest_end(make: Make) -> None:
    backend = await make(history_limit=4)
    dead = make_record(NOW, status=TaskStatus.FAILED, dead_reason="killed its worker")
    others = [make_record(NOW + 1), make_record(NOW + 2)]
    done = make_record(NOW + 3, dead.message, fence=2)
    for record in (dead, *others, done):
        await backend.store([record])
    assert await backend.history.count(RunFilter(dead=True), 10) == 0
    assert (await backend.history.query(ALL, 10)).records == [done, *reversed(others)]
    await backend.store([make_record(NOW + 4)])
    assert await backend.get([dead.message.id]) == [done]


async def test_a_record_that_is_sent_again_counts_once(make: Make, cluster_url: str) -> None:
    for backend in (await make(), await make(cluster_url)):
        record = make_record(backend._clock.time(), retries=2)
        for _ in range(3):
            assert await backend.store([record]) == [True]
        [row] = await backend.history.statistics(record.finished_at - 60)
        assert (row.success, row.retries, sum(row.wait)) == (1, 2, 1)


async def test_a_record_without_its_listing_is_listed_by_storing_again(make: Make, cluster_url: str) -> None:
    """In a cluster the second step may have failed."""
    backend = await make(cluster_url)
    record = make_record(NOW)
    await backend.store([record])
    keys = ("log", "names", "i:default\x1fwork\x1fs")
    await backend.server.run(Role.COMMAND, [Plain(("DEL", key), key) for key in map(RUNS_KEY.__add__, keys)])
    assert await backend.history.count(ALL, 10) == 0
    await backend.store([record])
    assert (await backend.history.query(ALL, 10)).records == [record]


async def test_a_listing_without_its_record_is_cleared_away(make: Make, client: Any) -> None:
    backend = await make()
    gone, stays = make_record(NOW), make_record(NOW + 1)
    await backend.store([gone, stays])
    client.delete(record_key(gone.message.id))
    assert (await backend.history.query(ALL, 10)).records == [stays]
    assert await backend.history.count(ALL, 10) == 1


async def test_more_records_than_fit_into_one_call(make: Make) -> None:
    backend = await make()
    records = [make_record(NOW + number) for number in range(1_201)]
    assert await backend.store(records) == [True] * 1_201
    found = (await backend.history.query(ALL, 1_000)).records
    assert found == records[:-1_001:-1]
    assert await backend.history.delete([record.message.id for record in records]) == 1_201
    assert await backend.history.count(ALL, 10) == 0


async def test_a_record_that_cannot_be_read_hides_no_other(
    backend: RedisBackend, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer version may have written it."""
    strange, plain = make_record(NOW), make_record(NOW + 1)
    await backend.store([strange, plain])
    client.set(record_key(strange.message.id), b"1\n\x63newer")
    assert backend.history is not None
    assert (await backend.history.query(ALL, 10)).records == [plain]
    assert strange.message.id in caplog.text
    with pytest.raises(DecodingError, match=strange.message.id):
        await backend.get([strange.message.id])
    with pytest.raises(DecodingError, match=strange.message.id):
        await asyncio.wait_for(backend.wait(strange.message.id, None), 4)
    assert await backend.history.delete([strange.message.id]) == 1
