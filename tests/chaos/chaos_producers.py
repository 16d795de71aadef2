"""``python chaos_producers.py PROCESSES COUNT FOLDER``: processes that submit all at the same time.

Each writes the ids of its tasks into a file of the folder. Half of them go in one batch, half one by one.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import chaos_jobs

import flowrra.redis  # noqa: F401 - once for all processes, so that they are ready in the same moment


async def produce(count: int) -> list[str]:
    """Submit tasks; their ids."""
    app = chaos_jobs.make_app()
    await app.start(workers=False)
    work = app.find_task("work")
    handles = await app.submit_many(work.signature() for _ in range(count // 2))
    ids = [handle.id for handle in handles]
    ids += [await app.submit(work) for _ in range(count - len(ids))]
    await app.stop()
    return ids


def main(processes: int, count: int, folder: Path) -> int:
    """Start them, let them all go in one moment, and wait for them."""
    gate, opener = os.pipe()
    children: list[int] = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            os.close(opener)
            os.read(gate, 1)
            ids = asyncio.run(produce(count))
            (folder / f"submitted-{number}").write_text("\n".join(ids))
            sys.exit(0)
        children.append(child)
    os.close(opener)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
