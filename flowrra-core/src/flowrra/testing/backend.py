"""The conformance suite of backends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from flowrra.config import BackendConfig
from flowrra.message import Record
from flowrra.protocols import Backend
from flowrra.status import TaskStatus
from flowrra.testing.backend_history import HistoryPromises
from flowrra.testing.backend_signals import SignalPromises
from flowrra.testing.backend_steps import BackendBench
from flowrra.testing.factories import make_message, make_record
from flowrra.testing.suites import Suite

__all__ = ["BackendBench", "BackendConformance"]

#: Wake-ups that the suite tries to lose.
INTERLEAVINGS = 1_000


@pytest.mark.asyncio
class BackendConformance(HistoryPromises, SignalPromises, Suite):
    """Every promise of :class:`~flowrra.protocols.Backend`, as tests.

    Override the fixture ``bench``::

        class TestMyBackend(BackendConformance):
            @pytest.fixture
            def bench(self):
                clock = FakeClock()
                return BackendBench(lambda config: MyBackend(config, clock), clock)

    What the backend says that it has (``history``, ``stream``, ``board``) it must have; tests of what
    it lacks end at once.
    """

    @pytest.fixture
    def bench(self) -> BackendBench:
        """The backend under test. To be overridden; it may clean up after a ``yield``."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture bench that returns a BackendBench")

    @pytest_asyncio.fixture
    async def backend(self, bench: BackendBench) -> AsyncGenerator[Backend, None]:
        """A backend that keeps its records for longer than any test takes, opened."""
        backend = bench.make(BackendConfig(url="memory://", ttl=24 * 3600))
        await backend.open()
        yield backend
        await backend.close()

    @pytest.fixture
    def now(self, bench: BackendBench) -> float:
        """When the test's records are made."""
        return bench.clock.time()

    async def test_a_record_comes_back_as_it_was(self, backend: Backend, now: float) -> None:
        message = make_message(
            "id {c}:* é", queue="очередь", task="tâche", headers={"é": "\U0001f600"},
            body=bytes(range(256)),
            delay=1.5, eta=now, expires=2.5, timeout=3.5, unique_key="key", max_retries=4, retry_delay=5.5,
            schedule="nightly", fire_time=now, retry_of="another", priority=-512,
        )  # fmt: skip
        full = make_record(
            now, message, value=bytes(range(256)), error="ValueError: é\n", traceback="Trace …", retries=3,
            state=b"\x00past\xff", log="INFO é\nINFO", progress=b"\xff", dead_reason="broken",
            status=TaskStatus.FAILED, fence=2**40,
        )  # fmt: skip
        bare = make_record(now, started_at=None, value=None, worker=None, status=TaskStatus.CANCELLED)
        assert await backend.store([full, bare]) == [True, True]
        assert await backend.get([message.id, bare.message.id]) == [full, bare]

    async def test_a_value_of_a_mebibyte_comes_back(self, backend: Backend, now: float) -> None:
        record = make_record(now, value=bytes(range(256)) * 4096)
        await backend.store([record])
        assert await backend.get([record.message.id]) == [record]

    async def test_answers_come_in_the_order_of_the_questions(self, backend: Backend, now: float) -> None:
        one, two = make_record(now), make_record(now)
        await backend.store([one, two])
        ids = [two.message.id, "unknown", one.message.id, two.message.id]
        assert await backend.get(ids) == [two, None, one, two]
        assert await backend.get([]) == []
        assert await backend.store([]) == []

    async def test_an_older_fence_never_replaces_a_newer(self, backend: Backend, now: float) -> None:
        """Whatever the order of arrival, and also within one batch."""
        message = make_message()
        old, new = (make_record(now, message, fence=fence, value=b"%d" % fence) for fence in (3, 4))
        assert await backend.store([old]) == [True]
        assert await backend.store([new]) == [True]
        assert await backend.store([old]) == [False]
        assert await backend.get([message.id]) == [new]
        newer = new._replace(fence=6)
        assert await backend.store([newer, old._replace(fence=5), make_record(now)]) == [True, False, True]
        assert await backend.get([message.id]) == [newer]

    async def test_storing_the_same_record_again_is_harmless(self, backend: Backend, now: float) -> None:
        """After a lost answer it is sent once more."""
        record = make_record(now)
        assert await backend.store([record]) == [True]
        assert await backend.store([record]) == [True]
        assert await backend.get([record.message.id]) == [record]

    async def test_waiting_returns_what_is_there(self, backend: Backend, now: float) -> None:
        record = make_record(now)
        await backend.store([record])
        assert await backend.wait(record.message.id, None) == record
        assert await backend.wait(record.message.id, 30.0) == record

    async def test_waiting_ends_with_its_timeout(self, backend: Backend, bench: BackendBench) -> None:
        waiting = backend.wait("never-stored", bench.unit)
        assert await bench.during(waiting, 2 * bench.unit) is None

    async def test_everybody_who_waits_is_woken(self, backend: Backend, now: float) -> None:
        """But for those who stopped waiting."""
        record = make_record(now)
        waiting = [asyncio.create_task(backend.wait(record.message.id, None)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait(waiting[1:2])
        await backend.store([record])
        others = [waiting[0], *waiting[2:]]
        assert await asyncio.wait_for(asyncio.gather(*others), 30) == [record] * 4
        assert waiting[1].cancelled()

    async def test_no_wake_up_is_lost(self, backend: Backend, now: float) -> None:
        """Whether the record comes before, during or after the first steps of waiting."""

        async def race(number: int) -> Record | None:
            record = make_record(now)
            waiting = asyncio.create_task(backend.wait(record.message.id, None))
            for _ in range(number % 20):
                await asyncio.sleep(0)
            await backend.store([record])
            found = await waiting
            assert found == record
            return found

        for start in range(0, INTERLEAVINGS, 50):
            races = (race(number) for number in range(start, start + 50))
            await asyncio.wait_for(asyncio.gather(*races), 30)

    async def test_records_are_kept_for_their_time(self, bench: BackendBench) -> None:
        backend = bench.make(BackendConfig(url="memory://", ttl=2))
        await backend.open()
        record = make_record(bench.clock.time())
        await backend.store([record])
        await bench.let_pass(1)
        assert await backend.get([record.message.id]) == [record]
        await bench.let_pass(2.5)
        assert await backend.get([record.message.id]) == [None]
        await backend.close()

    async def test_closing_twice_and_opening_again_keeps_the_records(
        self, backend: Backend, now: float
    ) -> None:
        record = make_record(now)
        await backend.store([record])
        await backend.close()
        await backend.close()
        await backend.open()
        assert await backend.wait(record.message.id, 30.0) == record
