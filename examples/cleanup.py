"""An application for the command line: cd examples && flowrra worker cleanup:app

It has work as soon as it is imported: one task that finds files, and that submits a task for each.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flowrra import Flowrra, current_task

app = Flowrra()


async def timed(call: Any, next: Any) -> Any:
    """Middleware: around every attempt."""
    began = time.monotonic()
    try:
        return await next(call)
    finally:
        call.log.info("%s took %.1f ms", call.name, (time.monotonic() - began) * 1000)


app.middleware.append(timed)


@app.task(queue="scan")
def scan(folder: str) -> int:
    """Submits one task per Python file; a thread has no loop, so through ``app.sync``."""
    files = sorted(Path(folder).glob("*.py"))
    app.sync.submit_many(check.signature(str(file)) for file in files)
    return len(files)


@app.task(unique_key=lambda path: f"check {path}", max_retries=1)
def check(path: str) -> str:
    """Says how many lines end in blanks."""
    current_task().log.info("reading %s", path)
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return f"{Path(path).name}: {sum(line != line.rstrip() for line in lines)} of {len(lines)} lines"


app.sync.submit(scan, str(Path(__file__).parent))
