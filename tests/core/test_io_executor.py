"""The executor of coroutine functions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from executor_calls import error_of, make_call

from flowrra.call import current_task
from flowrra.config import ExecutorConfig
from flowrra.exceptions import ExecutorCrashedError
from flowrra.executors.io import IOExecutor


async def add(a: int, b: int) -> int:
    return a + b


def make(num_workers: int = 2) -> IOExecutor:
    return IOExecutor(ExecutorConfig(num_workers=num_workers))


class Gate:
    """A coroutine function that waits, and counts who is in it."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.order: list[int] = []

    def function(self) -> Any:
        async def wait(number: int) -> int:
            self.order.append(number)
            await self.open.wait()
            return number

        return wait


async def test_runs_the_function_inside_its_call() -> None:
    async def own_id() -> str:
        return current_task().id

    executor, call = make(), make_call(own_id)
    assert await executor.execute(call) == call.id
    assert await executor.execute(make_call(add, 1, 2)) == 3
    assert executor.pending_count() == 0


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
async def test_raises_what_the_task_raised(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    executor = make()
    assert await error_of(executor.execute(make_call(fail))) is error
    assert executor.room() == 2


async def test_more_calls_than_slots_wait_their_turn_in_order() -> None:
    gate, executor = Gate(), make(2)
    calls = [asyncio.create_task(executor.execute(make_call(gate.function(), n))) for n in range(5)]
    await asyncio.sleep(0)
    assert (gate.order, executor.room(), executor.pending_count()) == ([0, 1], 0, 5)
    gate.open.set()
    assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
    assert gate.order == [0, 1, 2, 3, 4]
    assert (executor.room(), executor.pending_count()) == (2, 0)


async def test_cancelling_frees_the_slot_of_a_running_and_the_place_of_a_waiting_call() -> None:
    gate, executor = Gate(), make(1)
    calls = [asyncio.create_task(executor.execute(make_call(gate.function(), n))) for n in range(4)]
    await asyncio.sleep(0)
    calls[2].cancel()
    calls[0].cancel()
    await asyncio.wait([calls[0], calls[2]])
    assert executor.pending_count() == 2
    gate.open.set()
    assert await asyncio.gather(calls[1], calls[3]) == [1, 3]
    assert gate.order == [0, 1, 3]


async def test_a_slot_handed_to_a_call_that_is_cancelled_at_that_moment_is_handed_on() -> None:
    gate, executor = Gate(), make(1)
    calls = [asyncio.create_task(executor.execute(make_call(gate.function(), n))) for n in range(3)]
    await asyncio.sleep(0)
    gate.open.set()
    await calls[0]
    calls[1].cancel()
    assert await calls[2] == 2
    assert (executor.room(), executor.pending_count()) == (1, 0)


async def test_stop_waits_for_what_runs() -> None:
    gate, executor = Gate(), make(1)
    call = asyncio.create_task(executor.execute(make_call(gate.function(), 1)))
    await asyncio.sleep(0)
    stop = asyncio.create_task(executor.stop(60))
    await asyncio.sleep(0)
    gate.open.set()
    await stop
    assert executor.pending_count() == 0
    assert await call == 1


async def test_stop_without_grace_refuses_what_waits() -> None:
    gate, executor = Gate(), make(1)
    calls = [asyncio.create_task(executor.execute(make_call(gate.function(), n))) for n in range(2)]
    await asyncio.sleep(0)
    await executor.stop(0)
    assert isinstance(await error_of(calls[1]), ExecutorCrashedError)
    calls[0].cancel()


def test_a_plain_function_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match=r"executor 'io' needs async def: 'plain' is a plain def"):
        make().check(plain)
    make().check(add)


def plain() -> None:
    """Nothing to await."""
