"""The demonstration from greeting to summary."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flowrra.cli.demo.display import showing
from flowrra.cli.demo.library import Library, find_library
from flowrra.cli.demo.report import FileRow, KindRow, Report, make_report
from flowrra.cli.demo.tasks import app
from flowrra.cli.demo.work import Work
from flowrra.cli.output import console, print_json, seconds, table, wants_json

if TYPE_CHECKING:
    from rich.console import Console

#: Problems and odd files that are listed by name.
NAMED = 10


def perform(folder: Path | None) -> int:
    """Do the work, show it, and return the exit code."""
    logging.getLogger("flowrra").setLevel(logging.ERROR)
    library = find_library(folder)
    screen = None if wants_json() else console()
    if screen is not None:
        _greet(screen, library)
    report = make_report(asyncio.run(_work(library, screen)))
    if screen is None:
        print_json(report)
    else:
        _conclude(screen, report)
    return 1 if report.problems else 0


async def _work(library: Library, screen: Console | None) -> Work:
    work = Work(library)
    await app.start()
    try:
        async with showing(work, screen):
            await work.run()
    except BaseException:
        await app.stop(wait=False)
        raise
    await app.stop()
    return work


def _greet(screen: Console, library: Library) -> None:
    screen.print(
        f"{len(library.files):,} Python files, {_megabytes(library.size)}, in {library.folder}\n"
        f"Coroutines read and hash them, {app.executors['cpu'].slots} processes parse them; no server.\n",
        markup=False,
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size:,} bytes"


def _conclude(screen: Console, report: Report) -> None:
    _show_kinds(screen, report)
    _show_files(screen, report)
    screen.print(f"\nNot valid Python, as was to be expected: {_list(report.invalid)}", markup=False)
    screen.print(
        f"The urgent task waited {seconds(report.urgent_wait)} and overtook {report.overtaken:,} tasks that "
        f"had waited before it. Attempts that failed and were repeated: {report.retries:,}.",
        markup=False,
    )
    for problem in report.problems[:NAMED]:
        screen.print(f"WRONG: {problem}", style="red", markup=False)
    if report.problems:
        screen.print(f"{len(report.problems):,} things went wrong.", style="red bold")
        return
    screen.print(
        f"All right: each of the {report.files:,} listed files was read and parsed, "
        f"{report.lines:,} lines in {seconds(report.seconds)}.",
        style="green",
    )
    command = how_it_was_called()
    screen.print(f"\nTry next:\n  {command} doctor\n  {command} worker --help", markup=False)


def _show_kinds(screen: Console, report: Report) -> None:
    headings = ["task", "in", "runs", "retries", "per s", "wait p50", "p95", "run p50", "p95"]
    screen.print()
    screen.print(table(headings, [_cells(row) for row in report.kinds], right=range(2, 9)))


def _cells(row: KindRow) -> list[str]:
    rate = f"{row.per_second:,.0f}" if row.runs > 1 else ""
    times = (row.wait_p50, row.wait_p95, row.run_p50, row.run_p95)
    return [row.kind, row.executor, f"{row.runs:,}", f"{row.retries:,}", rate, *map(seconds, times)]


def _show_files(screen: Console, report: Report) -> None:
    rows = [
        (row.name, f"{row.lines:,}", f"{row.size:,}", f"{row.definitions:,}", row.depth)
        for row in report.largest
    ]
    rows.append((f"all {report.files:,} files", f"{report.lines:,}", f"{report.size:,}",
                 f"{report.definitions:,}", report.deepest.depth))  # fmt: skip
    screen.print()
    screen.print(table(["largest files", "lines", "bytes", "definitions", "depth"], rows, right=range(1, 5)))


def _list(rows: list[FileRow]) -> str:
    if not rows:
        return "none."
    names = ", ".join(row.name for row in rows[:NAMED])
    return f"{len(rows)} ({names}{', …' if len(rows) > NAMED else ''})."


def how_it_was_called() -> str:
    """The command as it can be typed again from here."""
    program = Path(sys.argv[0])
    if not program.name.startswith("flowrra"):
        return "python -m flowrra"
    if shutil.which(program.name) and Path(shutil.which(program.name) or "").samefile(program):
        return program.name
    near = os.path.relpath(program)
    return str(program.resolve()) if near.startswith("..") else near
