"""One started application, and many threads that submit to it and read its results."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

SCRIPT = """
import asyncio, gc, json, sys, threading
from collections import Counter
from flowrra import Flowrra

TIMES = int(sys.argv[1])
app = Flowrra()
runs = Counter()
results = Counter()
errors = []
lock = threading.Lock()

@app.task()
async def double(key):
    runs[key] += 1
    return key * 2

def use(number):
    try:
        for n in range(TIMES):
            key = 2 * (number * TIMES + n)
            task_id = asyncio.run(app.submit(double, key))
            result = asyncio.run(app.wait_for_result(task_id))
            other = app.sync.wait_for_result(app.sync.submit(double, key + 1))
            with lock:
                results[key] += result.result == key * 2
                results[key + 1] += other.result == (key + 1) * 2
    except BaseException as error:
        errors.append(repr(error))

async def main():
    async with app:
        threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            await asyncio.sleep(0.01)
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

left = asyncio.run(main())
gc.collect()
loops = [each for each in gc.get_objects() if isinstance(each, asyncio.AbstractEventLoop)]
print(json.dumps({
    "errors": errors,
    "keys": len(runs),
    "runs": sorted(set(runs.values())),
    "results": sorted(set(results.values())),
    "read": len(results),
    "tasks": len(left),
    "loops": sum(not each.is_closed() for each in loops),
    "threads": [each.name for each in threading.enumerate() if each is not threading.main_thread()],
    "running": app.is_running,
}))
"""


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_sixteen_threads_lose_and_double_nothing(soaked: Callable[[int], int]) -> None:
    """Under ``-W error -X dev``; no loop, thread or asyncio task is left after the end."""
    times = soaked(200)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", SCRIPT, str(times)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    slow = re.compile(r"Executing <.*> took [\d.]+ seconds\n")  # said by the loop of a busy machine
    assert slow.sub("", done.stderr) == ""
    assert json.loads(done.stdout) == {
        "errors": [],
        "keys": 32 * times,
        "runs": [1],
        "results": [1],
        "read": 32 * times,
        "tasks": 0,
        "loops": 0,
        "threads": [],
        "running": False,
    }
