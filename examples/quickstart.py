"""Every kind of task in one script: python examples/quickstart.py"""

from __future__ import annotations

import asyncio
import hashlib
import time

from flowrra import Config, ExecutorConfig, Flowrra, TaskFailedError, current_task

app = Flowrra(Config(executor=ExecutorConfig(num_workers=2)))


@app.task(max_retries=3, retry_delay=0.05)
async def fetch(name: str) -> str:
    """A coroutine runs on the event loop. This one fails at first, as networks do."""
    await asyncio.sleep(0.01)
    if current_task().attempt == 1:
        raise ConnectionError(f"{name} doesn't answer")
    return f"page of {name}"


@app.task()
def save(text: str) -> int:
    """A plain function runs in a thread, so it may block."""
    time.sleep(0.01)
    return len(text)


@app.task(cpu_bound=True, timeout=30)
def fingerprint(rounds: int) -> str:
    """A CPU-bound function runs in another process, with progress."""
    digest = b"flowrra"
    for done in range(1, rounds + 1):
        digest = hashlib.sha256(digest).digest()
        if done % 10_000 == 0:
            current_task().progress(done, rounds)
    return digest.hex()[:12]


@app.task(max_retries=0)
async def broken() -> None:
    """A task that fails for good."""
    raise ValueError("on purpose")


@app.task()
async def write(line: str) -> None:
    """Prints; for showing the order in which tasks start."""
    print("  ", line)


async def main() -> None:
    """Submit first, then start: what was submitted waits."""
    print("The lower priority number runs first, 0 is the default:")
    lines = {"later": 5, "without a priority": 0, "urgent": -5}
    written = [await write.options(priority=number).submit(line) for line, number in lines.items()]
    async with app:
        for handle in written:
            await handle.result(timeout=10)
        page = await fetch.submit("example.org")
        numbers = await app.submit_many(save.signature(text) for text in ("a", "bb", "ccc"))
        printed = await fingerprint.submit(50_000)
        print("io:     ", await page.result(timeout=10))
        print("threads:", [await number.result(timeout=10) for number in numbers])
        print("process:", await printed.result(timeout=30))

        attempts = (await app.wait_for_result(page.id)).attempts
        print("the page took", len(attempts), "attempts; the first:", attempts[0].error)
        print("progress:", (await app.wait_for_result(printed.id)).progress)

        try:
            await (await broken.submit()).result(timeout=10)
        except TaskFailedError as error:
            print("failed: ", error.error)

        late = await write.options(delay=3600).submit("in an hour")
        print("cancelled:", await late.cancel())


if __name__ == "__main__":
    asyncio.run(main())
