"""The command line as a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

HERE = Path(__file__).parent

#: An application with tasks of every kind, and some of them submitted before it starts.
TASKS = """
import asyncio, os, time
from flowrra import Flowrra, current_task

app = Flowrra(broker=os.environ.get("TEST_BROKER"))

@app.task()
async def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

@app.task(max_retries=1, retry_delay=0.01)
async def fail(why="no reason"):
    raise ValueError(why)

@app.task(queue="slow")
async def nap(seconds):
    print("napping", flush=True)
    await asyncio.sleep(seconds)
    return "rested"

@app.task(queue="slow")
def block(seconds):
    print("blocking", flush=True)
    time.sleep(seconds)

def make():
    return app

number = 3
"""


@dataclass
class Done:
    """What a finished command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which has to be one JSON document."""
        assert self.err == ""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error that standard error tells as JSON."""
        assert self.out == ""
        error: dict[str, str] = json.loads(self.err)["error"]
        return error


@dataclass
class Shell:
    """A folder in which ``flowrra`` is called."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Call it, and don't wait."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", "from flowrra.cli.main import main; main()", *arguments],
            cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def __call__(self, *arguments: str) -> Done:
        """Call it to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=50)
        assert "Traceback" not in err.partition("can't be imported")[0], err
        return Done(process.returncode, out, err)

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        (self.folder / name).write_text(text)


@pytest.fixture
def flowrra(tmp_path: Path) -> Iterator[Shell]:
    """A folder with ``tasks.py``; nothing of the caller's settings."""
    folder = tmp_path / "project"
    folder.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRRA_")}
    shell = Shell(folder, environ | {"COLUMNS": "80", "PYTHONPATH": str(tmp_path / "site")})
    shell.write("tasks.py", TASKS)
    yield shell
    for process in shell.started:
        process.kill()
        process.communicate()


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., None]:
    """Install a module as a distribution: ``install(name, entry points, source)``."""

    def install(name: str, entry_points: str, source: str) -> None:
        metadata = tmp_path / "site" / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (tmp_path / "site" / f"{name}.py").write_text(source)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(entry_points)

    return install


@pytest.fixture
def shared(flowrra: Shell, install: Callable[..., None], tmp_path: Path) -> Shell:
    """The same, where ``tasks.py`` and the environment name a broker that processes share."""
    points = "[flowrra.brokers]\nfile = file_store:broker\n[flowrra.backends]\nfile = file_store:backend\n"
    install("file_store", points, (HERE / "file_store.py").read_text())
    url = f"file://{tmp_path}/tasks"
    flowrra.environ |= {"TEST_BROKER": url, "FLOWRRA_BROKER_URL": url}
    return flowrra


@pytest.fixture
def fault(shared: Shell, tmp_path: Path) -> Callable[[str], None]:
    """``fault(kind)``: from now on every call of broker and backend is ``down``, ``refused`` or ``silent``;
    with an empty text they work again."""

    def fault(kind: str) -> None:
        new = tmp_path / "fault"
        new.write_text(kind)
        new.rename(tmp_path / "tasks.fault")

    return fault


def wait_for(stream: Any, text: str) -> str:
    """Read lines until one contains *text*."""
    seen = ""
    for line in stream:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"no {text!r} in: {seen}")


@pytest.fixture
def until() -> Callable[[Any, str], str]:
    """``until(stream, text)``: read lines until one contains the text, and return all of them."""
    return wait_for


@pytest.fixture
def ask() -> Callable[[str], tuple[int, Any]]:
    """``ask(url)``: the status and the JSON that a health port answers."""

    def ask(url: str) -> tuple[int, Any]:
        try:
            with urlopen(url, timeout=10) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    return ask


@pytest.fixture
def end() -> Callable[..., Done]:
    """``end(process, *signals)``: send them, one after the other, and wait."""

    def end(process: subprocess.Popen[str], *signals: signal.Signals) -> Done:
        for each in signals:
            process.send_signal(each)
        out, err = process.communicate(timeout=50)
        return Done(process.returncode, out, err)

    return end
