"""One measurement of one peer, in a process of its own; prints what it found as JSON.

The clock runs from the first submit until every task ran and the results of the last thousand that ran
are stored. After it, without waiting and newest first, each result is read and compared: one that is
missing or wrong, or a task that ran twice, fails the measurement.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import time
from importlib import metadata
from typing import Any

from benchmarks.inprocess.workload import WARM_UP, Peer, Progress, begin, make_jobs

TAIL = 1_000


def main() -> None:
    """Arguments: the adapter's ``module:factory``, how many tasks, how much room for queue and history."""
    adapter, tasks, room = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    module, _, factory = adapter.partition(":")
    build = getattr(importlib.import_module(f"benchmarks.inprocess.adapters.{module}"), factory)
    found = asyncio.run(measure(build, tasks, room))
    versions = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    print(json.dumps({**found, "versions": versions}))


async def measure(build: Any, tasks: int, room: int) -> dict[str, float]:
    """Start the peer, warm it up, and time one run."""
    peer: Peer = build(room)
    await peer.start()
    await timed_run(peer, WARM_UP)
    gc.collect()
    found = await timed_run(peer, tasks)
    await peer.stop()
    return found


async def timed_run(peer: Peer, tasks: int) -> dict[str, float]:
    """Seconds on the wall, until the last submit and on the processor."""
    jobs, progress = make_jobs(tasks), begin(tasks)
    processor, start = time.process_time(), time.perf_counter()
    handles = await peer.submit(jobs)
    submitted = time.perf_counter()
    await progress.complete()
    for number in progress.ran[-TAIL:]:
        await peer.wait(handles[number])
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - processor
    await verify(peer, handles, progress)
    return {"seconds": seconds, "submit_seconds": submitted - start, "cpu_seconds": cpu_seconds}


async def verify(peer: Peer, handles: list[Any], progress: Progress) -> None:
    """Each task ran once, and its result is there and right."""
    if sorted(progress.ran) != list(range(len(handles))):
        raise SystemExit(f"{len(progress.ran)} runs are not one run of each of {len(handles)} tasks")
    for number in reversed(progress.ran):
        value = await peer.read(handles[number])
        if value != number:
            raise SystemExit(f"task {number}: its stored result is {value!r}")


if __name__ == "__main__":
    main()
