"""The demonstration, on a small folder."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

FILES = 120


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Small files, a broken one, and packages and other files that don't count."""
    folder = tmp_path / "library"
    (folder / "site-packages").mkdir(parents=True)
    (folder / "inner").mkdir()
    for number in range(FILES - 2):
        (folder / f"m{number:03}.py").write_text("def f():\n    if 1:\n        return 2\n")
    (folder / "inner" / "large.py").write_text("class A:\n    def f(self): ...\n" * 500)
    (folder / "inner" / "bad.py").write_text("print 'no'\n")
    (folder / "site-packages" / "foreign.py").write_text("1")
    (folder / "notes.txt").write_text("1")
    return folder


def test_the_demonstration_reports_what_it_did(flowrra: Any, library: Path) -> None:
    report = flowrra("demo", "--path", str(library), "-o", "json").json

    assert (report["files"], report["problems"]) == (FILES, [])
    assert report["lines"] == (FILES - 2) * 3 + 1000 + 1
    assert report["size"] == sum(file.stat().st_size for file in library.glob("**/*.py")) - 1
    assert report["definitions"] == FILES - 2 + 1000
    assert report["deepest"]["depth"] == 2
    assert [row["name"] for row in report["invalid"]] == ["inner/bad.py"]
    assert report["largest"][0]["name"] == "inner/large.py"
    assert len(report["largest"]) == 10
    assert {row["kind"]: (row["runs"], row["retries"]) for row in report["kinds"]} == {
        "read": (FILES, 0),
        "parse": (FILES, 0),
        "retry": (3, 4),
        "urgent": (1, 0),
    }


def test_without_a_terminal_it_prints_plain_lines(flowrra: Any, library: Path) -> None:
    done = flowrra("demo", "--path", str(library))

    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert f"All right: each of the {FILES} listed files was read and parsed" in done.out
    assert "as was to be expected: 1 (inner/bad.py)." in done.out
    assert "Try next:" in done.out
    tables = done.out.partition("\n\n")[2].partition("Not valid")[0]
    assert max(map(len, tables.splitlines())) <= 80


def test_on_a_terminal_it_shows_bars(flowrra: Any, library: Path) -> None:
    """On a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "flowrra", "demo", "--path", str(library)]
    environ = flowrra.environ | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not some:
            break
        shown += some
    os.close(ours)

    assert process.wait(30) == 0
    assert "━" in shown.decode()
    assert f"{FILES}/{FILES}" in shown.decode()
    assert "python -m flowrra doctor" in shown.decode()


@pytest.mark.parametrize("arguments", [(), ("-o", "json")])
def test_ctrl_c_ends_it_without_a_traceback(flowrra: Any, end: Any, arguments: tuple[str, ...]) -> None:
    process = flowrra.start("demo", *arguments)
    _wait_for_child(process.pid)

    ended = end(process, signal.SIGINT)

    assert ended.code == 130
    assert ended.err.strip() == ""


def _wait_for_child(pid: int) -> None:
    """Until the process has a worker process, which shows that it works."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not children.read_text():
        time.sleep(0.02)


def test_a_file_that_cannot_be_read_is_a_problem(flowrra: Any, library: Path) -> None:
    """A link in a circle is no file; a file that disappears would be missed."""
    (library / "circle.py").symlink_to("circle.py")

    assert flowrra("demo", "--path", str(library), "-o", "json").json["files"] == FILES


def test_a_folder_without_python_is_refused(flowrra: Any, tmp_path: Path) -> None:
    refused = flowrra("demo", "--path", str(tmp_path / "project" / ".."), "-o", "json")
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = flowrra("demo", "--path", str(empty), "-o", "json")

    assert refused.code == 0
    assert (nothing.code, "there are no .py files" in nothing.error["message"]) == (2, True)
