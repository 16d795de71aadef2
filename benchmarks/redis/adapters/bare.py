"""The ideal: as many loops as there are slots, each sleeping through its share of the tasks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from time import perf_counter

from benchmarks.redis.workload import CONCURRENCY, pause


async def slot(numbers: Iterator[int]) -> None:
    """One slot."""
    for number in numbers:
        await pause(number)


async def main() -> None:
    """Print the seconds that the tasks took."""
    numbers, start = iter(range(int(sys.argv[1]))), perf_counter()
    await asyncio.gather(*(slot(numbers) for _ in range(CONCURRENCY)))
    print(json.dumps({"seconds": perf_counter() - start}))


if __name__ == "__main__":
    asyncio.run(main())
