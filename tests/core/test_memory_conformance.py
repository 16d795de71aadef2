"""The memory broker and backend keep the promises of their contracts, and some of their own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import broker_mutants
import pytest

from flowrra.config import BackendConfig
from flowrra.memory import MemoryBackend, MemoryBroker
from flowrra.memory.history import MemoryHistory
from flowrra.message import Record
from flowrra.protocols import Backend
from flowrra.reports import BrokerCapabilities, RecordPage, RunFilter
from flowrra.testing import BackendBench, BackendConformance, BrokerBench, BrokerConformance, FakeClock
from flowrra.testing.broker_steps import BrokerSteps
from flowrra.testing.factories import make_message, make_record


class TestMemoryBroker(BrokerConformance):
    @pytest.fixture
    def bench(self) -> BrokerBench:
        clock = FakeClock()
        return BrokerBench(lambda config: MemoryBroker(config, clock), clock)


class TestMemoryBackend(BackendConformance):
    @pytest.fixture
    def bench(self) -> BackendBench:
        clock = FakeClock()
        return BackendBench(lambda config: MemoryBackend(config, clock), clock)


class BareBroker(MemoryBroker):
    """The mandatory part alone."""

    @property
    def capabilities(self) -> BrokerCapabilities:
        return BrokerCapabilities(in_process=True)

    @property
    def admin(self) -> None:
        return None

    def settler(self, backend: object) -> None:
        return None


class TestBareBroker(BrokerConformance):
    @pytest.fixture
    def bench(self) -> BrokerBench:
        clock = FakeClock()
        return BrokerBench(lambda config: BareBroker(config, clock), clock)


class BareBackend(MemoryBackend):
    """The mandatory part alone."""

    @property
    def history(self) -> None:
        return None

    @property
    def stream(self) -> None:
        return None

    @property
    def board(self) -> None:
        return None


class TestBareBackend(BackendConformance):
    @pytest.fixture
    def bench(self) -> BackendBench:
        clock = FakeClock()
        return BackendBench(lambda config: BareBackend(config, clock), clock)


async def failures(suite: type[Any], offer: Callable[[FakeClock], dict[str, Any]]) -> list[str]:
    """The tests of a suite that fail with what is offered as fixtures."""
    found: list[str] = []
    for name in (name for name in dir(suite) if name.startswith("test_")):
        test = getattr(suite(), name)
        offered = offer(FakeClock())
        try:
            await test(**{each: offered[each] for each in inspect.signature(test).parameters})
        except Exception:
            found.append(name)
    return found


async def broker_failures(kind: type[MemoryBroker]) -> list[str]:
    def offer(clock: FakeClock) -> dict[str, Any]:
        broker = kind(None, clock)
        bench = BrokerBench(lambda config: kind(config, clock), clock)
        return {"steps": BrokerSteps(broker, bench), "admin": broker.admin}

    return await failures(BrokerConformance, offer)


async def backend_failures(kind: type[MemoryBackend]) -> list[str]:
    def offer(clock: FakeClock) -> dict[str, Any]:
        bench = BackendBench(lambda config: kind(config, clock), clock)
        return {"bench": bench, "backend": kind(None, clock), "now": clock.time()}

    return await failures(BackendConformance, offer)


async def test_the_suites_find_nothing_where_there_is_nothing() -> None:
    assert await broker_failures(MemoryBroker) == []
    assert await backend_failures(MemoryBackend) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that never end are given up soon."""
    wait_for = asyncio.wait_for
    monkeypatch.setattr(asyncio, "wait_for", lambda awaitable, _: wait_for(awaitable, 0.2))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mutant", broker_mutants.ALL, ids=lambda mutant: mutant.__name__)
async def test_the_suite_notices_planted_bugs(mutant: type[MemoryBroker]) -> None:
    assert await broker_failures(mutant) != []


class Unfenced(MemoryBackend):
    def keep(self, record: Record) -> bool:
        self._records.pop(record.message.id, None)
        return super().keep(record)


class Immortal(MemoryBackend):
    def _prune(self) -> None: ...


class LosesWakeUps(MemoryBackend):
    async def wait(self, task_id: str, timeout: float | None) -> Record | None:
        [record] = await self.get([task_id])
        await asyncio.sleep(0)
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[task_id].append(waiter)
        return record or await asyncio.wait_for(waiter, 0.05)


class WakesOneWaiter(MemoryBackend):
    def _tell(self, task_id: str, record: Record) -> None:
        self._waiters[task_id] = self._waiters[task_id][:1]
        super()._tell(task_id, record)


class PagesByTimeAlone(MemoryBackend):
    def reset(self) -> None:
        super().reset()

        class History(MemoryHistory):
            async def query(self, where: RunFilter, limit: int, cursor: str | None = None) -> RecordPage:
                page = await super().query(where, limit, cursor)
                return replace(page, next=page.next and page.next.partition(":")[0] + ":")

        self._history = History(self._records, self._prune)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mutant", [Unfenced, Immortal, LosesWakeUps, WakesOneWaiter, PagesByTimeAlone])
async def test_the_suite_notices_planted_bugs_of_a_backend(mutant: type[MemoryBackend]) -> None:
    assert await backend_failures(mutant) != []


async def test_a_suite_that_was_changed_certifies_nothing() -> None:
    class Changed(BackendConformance):
        async def test_no_wake_up_is_lost(self, backend: Backend, now: float) -> None: ...

        async def test_another(self) -> None: ...

    with pytest.raises(AssertionError, match="Changed replaces tests of its suite: test_no_wake_up_is_lost"):
        await Changed().test_no_promise_is_left_out()


async def test_waiting_for_tasks_ends_at_once_when_one_comes() -> None:
    """Time stands still: nothing else can have woken it."""
    clock = FakeClock()
    broker = MemoryBroker(clock=clock)
    waiting = asyncio.create_task(broker.wait(["default"], ["io"], 60.0))
    await asyncio.sleep(0)
    await broker.enqueue([make_message()], 0.0)
    await asyncio.wait_for(waiting, 30)


async def test_the_oldest_records_make_room_for_the_newest() -> None:
    backend = MemoryBackend(BackendConfig(url="memory://", history_limit=3), FakeClock())
    records = [make_record(1000.0 + number) for number in range(5)]
    await backend.store(records)
    assert await backend.get([record.message.id for record in records]) == [None, None, *records[2:]]
