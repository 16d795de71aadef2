"""The examples run as their page says."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from snippets import ROOT

EXAMPLES = ROOT / "examples"


def test_the_quick_start_shows_every_kind_of_task() -> None:
    """And in the order that it promises."""
    printed = _run("quickstart.py").splitlines()
    assert [line.strip() for line in printed[1:4]] == ["urgent", "without a priority", "later"]
    assert printed[4] == "io:      page of example.org"
    assert printed[5] == "threads: [1, 2, 3]"
    assert printed[-1] == "cancelled: True"


def test_the_web_application_answers_with_the_report() -> None:
    """One request submits, another one tells the result."""
    web = _load("wsgi_app.py")
    with web.start_worker():
        status, accepted = _request(web, "POST", "/report", "name=Ada")
        assert status == "202 Accepted"
        assert web.tasks.sync.wait_for_result(accepted["id"], timeout=10).is_success
        status, answer = _request(web, "GET", accepted["result"])
        progress = {"done": 5, "total": 5}
        assert status == "200 OK"
        assert answer == {"status": "success", "progress": progress, "report": "Everything about Ada"}
        assert _request(web, "GET", "/report/unknown")[0] == "404 Not Found"


def test_the_worker_runs_the_clean_up() -> None:
    """Each file of the folder is checked once, and a signal ends the worker properly."""
    expected = {path.name for path in EXAMPLES.glob("*.py")}
    command = [sys.executable, "-m", "flowrra", "worker", "cleanup:app", "-o", "json"]
    with subprocess.Popen(command, cwd=EXAMPLES, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        checked: set[str] = set()
        for line in worker.stdout:
            entry = json.loads(line)
            if entry.get("task") == "check" and entry.get("status") == "success":
                checked.add(json.loads(entry["result"]).partition(":")[0])
                if checked == expected:
                    worker.send_signal(signal.SIGTERM)
    assert checked == expected
    assert worker.returncode == 0


def test_workers_and_a_producer_share_a_server(redis_url: str) -> None:
    """All tasks come back, those that failed at first as well, and processes of the worker ran them."""
    environ = {**os.environ, "FLOWRRA_BROKER_URL": f"{redis_url}/0"}
    command = [sys.executable, "-m", "flowrra", "worker", "distributed:app", "--processes", "2"]
    with subprocess.Popen(command, cwd=EXAMPLES, env=environ) as worker:
        try:
            printed = _run("distributed.py", environ).splitlines()
        finally:
            worker.send_signal(signal.SIGTERM)
    assert worker.returncode == 0
    assert printed[:3] == ["measured: 425", "primes:   1229", "retries:  25"]
    ran = [line.split(": ") for line in printed[3:]]
    assert sum(int(number.split()[0]) for _, number in ran) == 100
    assert 1 <= len(ran) <= 2


def test_every_example_is_on_the_page() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f"({path.name})" not in page] == []


def _run(name: str, environ: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    return subprocess.run(command, env=environ, text=True, check=True, stdout=subprocess.PIPE).stdout


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _request(web: ModuleType, method: str, path: str, form: str = "") -> tuple[str, Any]:
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(form)),
        "wsgi.input": io.BytesIO(form.encode()),
    }
    body = b"".join(web.application(environ, lambda status, headers: statuses.append(status)))
    return statuses[0], json.loads(body)
