"""What the demonstration found, and whether all of it is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowrra.cli.demo.work import EVERY, Kind, Work
from flowrra.cli.runlog import waited
from flowrra.result import TaskResult

#: How many of the largest files are listed.
LARGEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One file."""

    name: str
    lines: int
    size: int
    definitions: int
    depth: int
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow:
    """One kind of work. Times are seconds; waiting counts until the first attempt."""

    kind: str
    executor: str
    runs: int
    retries: int
    per_second: float
    wait_p50: float
    wait_p95: float
    run_p50: float
    run_p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome. ``problems`` is empty if everything was done and is right."""

    folder: str
    files: int
    lines: int
    size: int
    definitions: int
    deepest: FileRow
    invalid: list[FileRow]
    largest: list[FileRow]
    kinds: list[KindRow]
    retries: int
    overtaken: int
    urgent_wait: float
    seconds: float
    problems: list[str]


def make_report(work: Work) -> Report:
    """Sum up finished work, and compare it with the folder's listing."""
    rows = _rows(work)
    return Report(
        folder=str(work.library.folder),
        files=len(work.library.files),
        lines=sum(row.lines for row in rows),
        size=sum(row.size for row in rows),
        definitions=sum(row.definitions for row in rows),
        deepest=max(rows, key=lambda row: row.depth),
        invalid=[row for row in rows if row.problem is not None],
        largest=sorted(rows, key=lambda row: row.lines, reverse=True)[:LARGEST],
        kinds=[_kind_row(kind) for kind in work.kinds],
        retries=sum(kind.retries for kind in work.kinds),
        overtaken=work.overtaken,
        urgent_wait=waited(work.urgent.results[0]) or 0.0,
        seconds=work.seconds,
        problems=list(_problems(work)),
    )


def _rows(work: Work) -> list[FileRow]:
    """A row per listed file; what is missing counts as nothing, and is a problem below."""
    read: dict[str, dict[str, Any]] = {_path(run): run.result or {} for run in work.read.results}
    parsed: dict[str, dict[str, Any]] = {_path(run): run.result or {} for run in work.parse.results}
    return [
        FileRow(
            name=work.library.name(file.path),
            lines=read.get(file.path, {}).get("lines", 0),
            size=read.get(file.path, {}).get("size", 0),
            definitions=parsed.get(file.path, {}).get("definitions", 0),
            depth=parsed.get(file.path, {}).get("depth", 0),
            problem=parsed.get(file.path, {}).get("problem"),
        )
        for file in work.library.files
    ]


def _problems(work: Work) -> Iterator[str]:
    """Everything that isn't as it must be."""
    for kind in work.kinds:
        if kind.done != kind.total:
            yield f"{kind.name}: {kind.done:,} of {kind.total:,} runs ended"
        for run in kind.results:
            if not run.is_success:
                yield f"{kind.name}: {run.args[0]}: {run.error}"
    listed = {file.path: file.size for file in work.library.files}
    sizes = {_path(run): run.result["size"] for run in work.read.results if run.is_success}
    yield from (f"read {sizes.get(path)} bytes of {path}, not {size}" for path, size in listed.items()
                if path in sizes and sizes[path] != size)  # fmt: skip
    for kind, paths in ((work.read, sizes), (work.parse, {_path(run) for run in work.parse.results})):
        for path in listed.keys() - set(paths):
            yield f"{kind.name}: {path} is missing"
    expected = sum(1 + number % 2 for number in range(len(work.library.files[::EVERY])))
    if work.ask.retries != expected:
        yield f"{work.ask.name}: {work.ask.retries} retries, not {expected}"


def _path(run: TaskResult) -> str:
    return str(run.args[0])


def _kind_row(kind: Kind) -> KindRow:
    waits = sorted(value for run in kind.results if (value := waited(run)) is not None)
    runs = sorted(_ran(run) for run in kind.results)
    return KindRow(
        kind=kind.name,
        executor=kind.executor,
        runs=kind.done,
        retries=kind.retries,
        per_second=kind.rate,
        wait_p50=percentile(waits, 50),
        wait_p95=percentile(waits, 95),
        run_p50=percentile(runs, 50),
        run_p95=percentile(runs, 95),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest of sorted *values* that so many percent don't exceed; 0 of none."""
    return values[max(-(-len(values) * percent // 100) - 1, 0)] if values else 0.0


def _ran(run: TaskResult) -> float:
    times: tuple[Any, Any] = run.started_at, run.finished_at
    return 0.0 if None in times else float((times[1] - times[0]).total_seconds())
