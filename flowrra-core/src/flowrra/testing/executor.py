"""The conformance suite of executors."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from flowrra.call import EncodedValue
from flowrra.exceptions import ExecutorCrashedError
from flowrra.protocols import Executor
from flowrra.serialization import decode_value
from flowrra.testing import functions
from flowrra.testing.factories import make_call
from flowrra.testing.functions import PAUSE
from flowrra.testing.suites import Suite
from flowrra.worker.failure import describe

#: Slots of the executor under test.
SLOTS: Final = 2


@dataclass
class ExecutorSteps:
    """A started executor, and the calls that tests make."""

    executor: Executor
    folder: Path
    running: list[asyncio.Task[object]] = field(default_factory=list[asyncio.Task[object]])

    def function(self, name: str) -> Callable[..., Any]:
        """The plain or async kind of one of the suite's functions, whichever this executor runs."""
        plain: Callable[..., Any] = getattr(functions, name)
        other: Callable[..., Any] = getattr(functions, f"{name}_async")
        return plain if runs(self.executor, plain) else other

    async def run(self, name: str, *args: Any, **options: Any) -> object:
        """Run one of the suite's functions to its end."""
        value = await self.executor.execute(make_call(self.function(name), *args, **options))
        return decode_value(value.data) if isinstance(value, EncodedValue) else value

    def begin(self, count: int) -> Sequence[asyncio.Task[object]]:
        """Begin calls that go on until ``end``."""
        for _ in range(count):
            files = self._started(len(self.running)), str(self.folder / "end")
            self.running.append(asyncio.create_task(self.run("hold", *files)))
        return self.running[-count:]

    def _started(self, number: int) -> str:
        return str(self.folder / f"started-{number}")

    def has_begun(self, number: int) -> bool:
        """Whether the function of one of the calls was entered."""
        return Path(self._started(number)).exists()

    async def begun(self, *numbers: int) -> None:
        """Wait until the functions of some calls are entered."""
        async with asyncio.timeout(30):
            while not all(map(self.has_begun, numbers)):  # noqa: ASYNC110  (it happens outside of the loop)
                await asyncio.sleep(PAUSE)

    async def free(self) -> None:
        """Wait until nothing occupies a slot."""
        async with asyncio.timeout(30):
            while self.executor.pending_count():  # noqa: ASYNC110  (it happens outside of the loop)
                await asyncio.sleep(PAUSE)

    def end(self) -> None:
        """Let every call end."""
        (self.folder / "end").touch()


def runs(executor: Executor, function: Callable[..., Any]) -> bool:
    """Whether an executor runs this kind of function."""
    try:
        executor.check(function)
    except TypeError as refusal:
        assert str(refusal), "a refusal must say why"
        return False
    return True


@pytest.mark.asyncio
class ExecutorConformance(Suite):
    """Every promise of :class:`~flowrra.protocols.Executor`, as tests.

    Override the fixture ``executor``::

    class TestMyExecutor(ExecutorConformance):
        @pytest.fixture
        def executor(self):
            return MyExecutor(ExecutorConfig(num_workers=2))
    """

    @pytest.fixture
    def executor(self) -> Executor:
        """An unstarted executor with two slots. To be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture executor with {SLOTS} slots")

    @pytest_asyncio.fixture
    async def steps(self, executor: Executor, tmp_path: Path) -> AsyncGenerator[ExecutorSteps, None]:
        """The executor, started."""
        await executor.start()
        steps = ExecutorSteps(executor, tmp_path)
        yield steps
        steps.end()
        await executor.stop(30.0)
        await asyncio.gather(*steps.running, return_exceptions=True)

    async def test_it_runs_plain_or_async_functions(self, executor: Executor) -> None:
        """One kind at least; what it can't run it refuses before any task is submitted."""
        kinds = [runs(executor, function) for function in (functions.add, functions.add_async)]
        assert any(kinds)

    async def test_the_value_comes_back(self, steps: ExecutorSteps) -> None:
        assert await steps.run("add", 1, 2) == 3
        assert await asyncio.gather(*(steps.run("add", n, n) for n in range(20))) == list(range(0, 40, 2))
        assert (steps.executor.room(), steps.executor.pending_count()) == (SLOTS, 0)

    async def test_the_error_comes_back(self, steps: ExecutorSteps) -> None:
        """As itself or as text: its class can be told, and its slot is free."""
        with pytest.raises(Exception, match="broken é") as caught:
            await steps.run("fail", "broken é")
        failure = describe(caught.value)
        assert failure.error == "FunctionError: broken é"
        assert failure.is_a((ValueError,))
        assert not failure.is_a((KeyError,))
        assert failure.traceback is not None
        assert "raise FunctionError(text)" in failure.traceback
        assert steps.executor.pending_count() == 0

    async def test_a_task_knows_itself(self, steps: ExecutorSteps) -> None:
        function = steps.function("facts")
        call = make_call(function, attempt=3, queue="mail")
        value = await steps.executor.execute(call)
        found = decode_value(value.data) if isinstance(value, EncodedValue) else value
        assert found == {"id": call.id, "name": function.__name__, "attempt": 3, "queue": "mail"}
        assert call.log_text() == "INFO seen 1"

    async def test_room_and_pending_count(self, steps: ExecutorSteps) -> None:
        executor = steps.executor
        assert (executor.slots, executor.room(), executor.pending_count()) == (SLOTS, SLOTS, 0)
        running = steps.begin(1)
        await steps.begun(0)
        assert (executor.room(), executor.pending_count()) == (1, 1)
        steps.end()
        assert await running[0] == "held"
        assert (executor.room(), executor.pending_count()) == (SLOTS, 0)

    async def test_more_calls_than_slots_wait_for_their_turn(self, steps: ExecutorSteps) -> None:
        running = steps.begin(3)
        await steps.begun(0, 1)
        assert (steps.executor.room(), steps.executor.pending_count()) == (0, 3)
        assert not steps.has_begun(2)
        steps.end()
        assert await asyncio.gather(*running) == ["held"] * 3

    async def test_cancelling_the_await_cancels_the_call(self, steps: ExecutorSteps) -> None:
        """Its slot becomes free; other calls notice nothing."""
        cancelled, other = steps.begin(2)
        await steps.begun(0, 1)
        cancelled.cancel()
        await asyncio.wait([cancelled], timeout=30)
        assert cancelled.cancelled()
        assert await asyncio.wait_for(steps.run("add", 1, 2), 30) == 3
        assert not other.done()
        steps.end()
        assert await other == "held"
        await steps.free()
        assert steps.executor.room() == SLOTS

    async def test_a_call_that_is_cancelled_before_its_turn_never_runs(self, steps: ExecutorSteps) -> None:
        steps.begin(2)
        await steps.begun(0, 1)
        [waiting] = steps.begin(1)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=30)
        assert steps.executor.pending_count() == 2
        steps.end()
        await asyncio.gather(*steps.running[:2])
        assert not steps.has_begun(2)

    async def test_stopping_lets_calls_end_within_the_grace(self, steps: ExecutorSteps) -> None:
        running = steps.begin(2)
        await steps.begun(0, 1)
        stopping = asyncio.create_task(steps.executor.stop(30.0))
        await asyncio.sleep(PAUSE)
        steps.end()
        await asyncio.wait_for(stopping, 30)
        assert await asyncio.gather(*running) == ["held"] * 2
        assert steps.executor.pending_count() == 0

    async def test_stopping_without_grace_returns_soon(self, steps: ExecutorSteps) -> None:
        """Calls that a process or thread ran fail; coroutines are their owner's to cancel."""
        [running] = steps.begin(1)
        await steps.begun(0)
        await asyncio.wait_for(steps.executor.stop(0.0), 30)
        if not inspect.iscoroutinefunction(steps.function("hold")):
            await asyncio.wait([running], timeout=30)
            assert isinstance(running.exception(), ExecutorCrashedError)

    async def test_it_starts_again_after_a_stop(self, steps: ExecutorSteps) -> None:
        assert await steps.run("add", 1, 2) == 3
        await steps.executor.stop(0.0)
        await steps.executor.start()
        assert await steps.run("add", 2, 3) == 5
        assert steps.executor.room() == SLOTS
