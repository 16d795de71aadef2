"""Workers in processes of their own, on this machine or others: what they share is a Redis server.

    cd examples
    flowrra worker distributed:app --processes 2
    python distributed.py       # in another terminal

``FLOWRRA_BROKER_URL`` names another server than redis://localhost:6379/0.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter

from flowrra import Flowrra, current_task

app = Flowrra(broker=os.environ.get("FLOWRRA_BROKER_URL", "redis://localhost:6379/0"))


@app.task(max_retries=3, retry_delay=0.1)
async def measure(city: str) -> int:
    """Pretends to ask a distant service, which fails now and then: the first time it is asked for Oslo."""
    await asyncio.sleep(0.02)
    if city == "Oslo" and current_task().attempt == 1:
        raise ConnectionError("the service doesn't answer")
    return len(city)


@app.task(cpu_bound=True, timeout=60)
def primes(below: int) -> int:
    """Computes in another process of the worker."""
    return sum(all(number % each for each in range(2, int(number**0.5) + 1)) for number in range(2, below))


async def main() -> None:
    """Submit, and wait for what the workers answer."""
    await app.start(workers=False)  # a producer: it runs nothing itself
    try:
        cities = ["Bern", "Lima", "Oslo", "Quito"] * 25
        handles = await app.submit_many(measure.signature(city) for city in cities)
        counted = await primes.options(priority=-1).submit(10_000)

        print("measured:", sum([await handle.result(timeout=60) for handle in handles]))
        print("primes:  ", await counted.result(timeout=60))

        results = [await app.wait_for_result(handle.id) for handle in handles]
        print("retries: ", sum(result.retries for result in results))
        for worker, number in sorted(Counter(result.worker for result in results).items()):
            print(f"  {worker}: {number} tasks")
    finally:
        await app.stop()


if __name__ == "__main__":
    asyncio.run(main())
