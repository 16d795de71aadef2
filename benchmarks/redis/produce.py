"""The producer process of one measurement: does what lines of JSON on its standard input say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from time import monotonic, perf_counter
from typing import Any

from benchmarks.redis.workload import POLL, Producer

#: Seconds in which a result has to arrive, or its wake-up counts as lost.
LOST_AFTER = 1.0
#: Seconds in which the last result has to be stored after its task has ended.
STORED_WITHIN = 30.0


class Orders:
    """What may be asked for: one method per order, with its arguments by name."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._handles: list[Any] = []

    async def submit(self, task: str, count: int, batch: bool) -> dict[str, object]:
        """Submit the tasks 0 to *count*, and say how long it took."""
        return await self._submit(task, range(count), batch)

    async def fill(self, size: int, count: int) -> dict[str, object]:
        """Submit tasks whose argument is a text of *size* bytes."""
        return await self._submit("noop", ["x" * size] * count, batch=True)

    async def _submit(self, task: str, arguments: Sequence[Any], batch: bool) -> dict[str, object]:
        producer, start = self._producer, perf_counter()
        if batch:
            self._handles = await producer.submit_batch(task, arguments)
        else:
            self._handles = [await producer.submit(task, argument) for argument in arguments]
        return {"seconds": perf_counter() - start}

    async def stored(self, number: int) -> dict[str, object]:
        """Say when the result of a task was there."""
        within = monotonic() + STORED_WITHIN
        while True:
            value = await self._producer.read(self._handles[number])
            if value is not None or monotonic() > within:
                return {"at": monotonic(), "value": value}
            await asyncio.sleep(POLL)

    async def check(self, numbers: list[int]) -> dict[str, object]:
        """Read results again, and say which are missing or not the task's number."""
        found = [await self._producer.read(self._handles[number]) for number in numbers]
        pairs = zip(numbers, found, strict=True)
        return {"wrong": [[number, repr(value)] for number, value in pairs if value != number]}

    async def latency(self, first: int, count: int) -> dict[str, object]:
        """Submit a task and wait for its result, *count* times."""
        producer, seconds, lost = self._producer, list[float](), 0
        for number in range(first, first + count):
            start = perf_counter()
            handle = await producer.submit("noop", number)
            try:
                value = await producer.result(handle, LOST_AFTER)
            except TimeoutError:
                lost += 1
                continue
            seconds.append(perf_counter() - start)
            if value != number:
                raise SystemExit(f"task {number}: its result is {value!r}")
        return {"seconds": seconds, "lost": lost}


async def serve() -> None:
    """Answer each order with a line of JSON; the end of the input is the end."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log
    producer: Producer = import_module(f"benchmarks.redis.adapters.{sys.argv[1]}").Adapter()
    await producer.start()
    orders = Orders(producer)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        answer = await getattr(orders, order.pop("do"))(**order)
        answers.write(json.dumps(answer) + "\n")
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(serve())
