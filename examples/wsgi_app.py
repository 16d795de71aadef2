"""A web application without an event loop: python examples/wsgi_app.py, then http://127.0.0.1:8000

``POST /report?name=Ada`` submits a task and answers with its id; ``GET /report/<id>`` tells what became of
it. ``application`` is an ordinary WSGI callable; under a server that forks, enter ``start_worker`` in each
process.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import make_server

from flowrra import Flowrra, current_task

tasks = Flowrra()

PAGE = b"""<!doctype html><title>Reports</title>
<form method=post action=/report><input name=name value=Ada><button>Make a report</button></form>
"""


@tasks.task(max_retries=2)
async def report(name: str) -> str:
    """Takes a while, and says how far it is."""
    for step in range(1, 6):
        await asyncio.sleep(0.1)
        current_task().progress(step, 5)
    return f"Everything about {name}"


@contextmanager
def start_worker() -> Any:
    """Run the tasks in a thread with an event loop of its own."""
    ready, stop = threading.Event(), threading.Event()

    async def work() -> None:
        async with tasks:
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The web application: plain functions, so it uses ``tasks.sync``."""
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/report" and method == "POST":
        name = _form(environ).get("name", ["nobody"])[0]
        task_id = tasks.sync.submit(report, name)
        return _json(start_response, "202 Accepted", {"id": task_id, "result": f"/report/{task_id}"})
    if path.startswith("/report/"):
        found = tasks.sync.get_result(path.removeprefix("/report/"))
        if found is None:
            return _json(start_response, "404 Not Found", {"error": "no such report"})
        progress = found.progress and {"done": found.progress.done, "total": found.progress.total}
        answer = {"status": found.status.value, "progress": progress, "report": found.result}
        return _json(start_response, "200 OK", answer)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [PAGE]


def _form(environ: dict[str, Any]) -> dict[str, list[str]]:
    size = int(environ.get("CONTENT_LENGTH") or 0)
    return parse_qs(environ["QUERY_STRING"] + "&" + environ["wsgi.input"].read(size).decode())


def _json(start_response: Callable[..., Any], status: str, answer: dict[str, Any]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


if __name__ == "__main__":
    with start_worker(), make_server("127.0.0.1", 8000, application) as server:
        print("http://127.0.0.1:8000, Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
