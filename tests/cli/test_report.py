"""What the demonstration finds wrong with its own work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowrra import TaskResult, TaskStatus
from flowrra.cli.demo.library import Library, Source
from flowrra.cli.demo.report import make_report, percentile
from flowrra.cli.demo.work import Work

START = datetime(2030, 1, 1, tzinfo=UTC)


def run(path: str, result: object, retries: int = 0) -> TaskResult:
    return TaskResult(
        path, TaskStatus.SUCCESS, result, None, START, START + timedelta(seconds=1), retries,
        args=(path,), submitted_at=START,
    )  # fmt: skip


@pytest.fixture
def work() -> Work:
    """Two files, read and parsed as they should be."""
    work = Work(Library(Path("/lib"), (Source("/lib/a.py", 10), Source("/lib/b.py", 20))))
    for path, size in (("/lib/a.py", 10), ("/lib/b.py", 20)):
        work.read.add(run(path, {"size": size, "lines": 1, "digest": ""}))
        work.parse.add(run(path, {"definitions": 1, "depth": 2, "problem": None}))
    work.ask.add(run("a.py", "a.py", retries=1))
    work.urgent.add(run("/lib/a.py", []))
    return work


def test_good_work_has_no_problems(work: Work) -> None:
    report = make_report(work)

    assert report.problems == []
    assert (report.size, report.lines, report.definitions) == (30, 2, 2)


def test_a_wrong_size_is_a_problem(work: Work) -> None:
    work.read.results[1] = run("/lib/b.py", {"size": 19, "lines": 1, "digest": ""})

    assert make_report(work).problems == ["read 19 bytes of /lib/b.py, not 20"]


def test_a_failed_run_is_a_problem(work: Work) -> None:
    work.parse.results[0] = replace(
        work.parse.results[0], status=TaskStatus.FAILED, result=None, error="OSError: gone"
    )

    assert make_report(work).problems == ["parse: /lib/a.py: OSError: gone"]


def test_a_missing_file_is_a_problem(work: Work) -> None:
    work.parse.results.pop()

    assert make_report(work).problems == ["parse: 1 of 2 runs ended", "parse: /lib/b.py is missing"]


def test_a_retry_that_did_not_happen_is_a_problem(work: Work) -> None:
    work.ask.results[0] = run("a.py", "a.py")

    assert make_report(work).problems == ["retry: 0 retries, not 1"]


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (95, 95), (100, 100), (1, 1)])
def test_percentiles(percent: int, value: int) -> None:
    assert percentile(range(1, 101), percent) == value
    assert percentile([], percent) == 0
