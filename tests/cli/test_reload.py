"""``flowrra worker --reload``."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

VERSION = """
from flowrra import Flowrra
app = Flowrra()

@app.task()
async def tell():
    return "version {number}"

@app.task()
async def rest():
    import asyncio
    print("resting", flush=True)
    await asyncio.sleep(600)

app.sync.submit(tell)
{more}
"""


@pytest.fixture
def reloading(flowrra: Any, until: Callable[..., str]) -> Iterator[Any]:
    """A worker of ``versions.py`` that has run its first version, with what is told when it is up."""
    flowrra.write("versions.py", VERSION.format(number=1, more="app.sync.submit(rest)"))
    worker = flowrra.start("worker", "versions:app", "--reload")
    until(worker.stderr, "version 1")
    until(worker.stdout, "resting")
    return worker


def test_a_changed_file_restarts_the_worker(flowrra: Any, reloading: Any, until: Any, end: Any) -> None:
    """What runs gets a second."""
    flowrra.write("versions.py", VERSION.format(number=2, more=""))

    seen = until(reloading.stderr, "version 2")
    ended = end(reloading, signal.SIGTERM)

    assert "changed: versions.py\n" in seen
    assert "SIGTERM: no more tasks are claimed; 1 running get 1 s to end" in seen
    assert "another takes its place" not in seen
    assert ended.code == 0


def test_a_syntax_error_leaves_the_old_version_at_work(
    flowrra: Any, reloading: Any, until: Any, end: Any
) -> None:
    flowrra.write("versions.py", "def broken(:\n")
    seen = until(reloading.stderr, "SyntaxError")
    flowrra.write("versions.py", VERSION.format(number=2, more=""))
    after = until(reloading.stderr, "version 2")

    file = flowrra.folder / "versions.py"
    assert f"{file}, line 1: SyntaxError: invalid syntax; nothing is restarted until it changes again" in seen
    assert " started\n" not in seen
    assert after.count(" started\n") == 1
    assert end(reloading, signal.SIGINT).code == 0


def test_a_module_that_fails_waits_for_the_next_change(
    flowrra: Any, reloading: Any, until: Any, end: Any
) -> None:
    flowrra.write("versions.py", "1 / 0\n")
    seen = until(reloading.stderr, "the next change of a Python file starts another")
    flowrra.write("versions.py", VERSION.format(number=2, more=""))
    until(reloading.stderr, "version 2")

    assert "ZeroDivisionError: division by zero" in seen
    assert "exited with code 2 before it was up" in seen
    assert end(reloading, signal.SIGTERM).code == 0


def test_all_processes_restart(shared: Any, until: Any, end: Any) -> None:
    worker = shared.start("worker", "tasks:app", "--reload", "--processes", "2")
    for _ in range(2):
        until(worker.stderr, "Ctrl-C ends it")

    shared.write("more.py", "")
    seen = "".join(until(worker.stderr, "Ctrl-C ends it") for _ in range(2))

    assert "changed: more.py\n" in seen
    assert seen.count(" started\n") == 2
    assert end(worker, signal.SIGTERM).code == 0


def test_a_crash_is_no_change(flowrra: Any, until: Any, end: Any) -> None:
    """A process that dies is replaced, as without ``--reload``."""
    flowrra.write("versions.py", VERSION.format(number=1, more="import os, sys; sys.stdout.flush()"))
    flowrra.write("fatal.py", "import os\nfrom versions import *\nos._exit(9)\n")
    worker = flowrra.start("worker", "fatal:app", "--reload")

    until(worker.stderr, "exited with code 9; another takes its place in 1 s")

    assert end(worker, signal.SIGTERM).code == 0


def test_without_watchfiles_it_says_what_to_install(flowrra: Any) -> None:
    program = (
        "import importlib.util as util, sys; find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'watchfiles' else find(name, *rest)\n"
        "from flowrra.cli.main import main; main()"
    )
    refused = subprocess.run(
        [sys.executable, "-c", program, "worker", "tasks:app", "--reload"],
        cwd=flowrra.folder, env=flowrra.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode == 2
    assert "--reload needs watchfiles, which isn't installed: pip install 'flowrra[dev]'" in refused.stderr
