"""Interleaved rounds: each peer once a round, each time in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inprocess.environments import ROOT
from benchmarks.inprocess.peers import Entrant

TIME_LIMIT = 600
IMPORTED = ("asyncio", "flowrra")
TIMED_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one process found."""

    entrant: str
    round: int
    seconds: float
    submit_seconds: float
    cpu_seconds: float
    versions: dict[str, str]


def run_rounds(
    entrants: Sequence[Entrant], pythons: Mapping[str, Path], rounds: int, tasks: int
) -> Iterator[Measurement]:
    """Measure round by round; each round begins with another peer, so that none is always first."""
    for number in range(rounds):
        first = number % len(entrants)
        for entrant in (*entrants[first:], *entrants[:first]):
            yield _measure(entrant, pythons[entrant.environment], number, tasks)


def _measure(entrant: Entrant, python: Path, number: int, tasks: int) -> Measurement:
    room = max(200_000, 2 * tasks)
    module = ["-m", "benchmarks.inprocess.measure", entrant.adapter, str(tasks), str(room)]
    found: dict[str, Any] = json.loads(_output(entrant.name, [str(python), *module]))
    return Measurement(entrant.name, number, **found)


def time_imports(python: Path, times: int) -> dict[str, list[float]]:
    """Seconds that each import took in fresh interpreters, in turn; the first of each only fills caches."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTED}
    for _ in range(times + 1):
        for name in IMPORTED:
            command = [str(python), "-c", TIMED_IMPORT.format(name)]
            found[name].append(float(_output(f"import {name}", command)))
    return {name: seconds[1:] for name, seconds in found.items()}


def _output(what: str, command: list[str]) -> str:
    """What *command* prints, run without settings of the caller's Python, of Flowrra or of asyncio."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FLOWRRA_"))}
    done = subprocess.run(
        command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stderr}")
    return done.stdout
