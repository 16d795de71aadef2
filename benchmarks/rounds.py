"""Interleaved rounds of fresh processes, which every benchmark runs."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.environments import ROOT

TIME_LIMIT = 600
TIMED_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"

Turn = TypeVar("Turn")


def in_turn(turns: Sequence[Turn], number: int) -> Iterator[Turn]:
    """The turns of one round; each round begins with another, so that none is always first."""
    first = number % len(turns) if turns else 0
    yield from (*turns[first:], *turns[:first])


def time_imports(python: Path, imported: Mapping[str, str], times: int) -> dict[str, list[float]]:
    """Seconds that each import took in fresh interpreters, in turn; the first of each only fills caches.

    *imported* names what each ``import`` statement imports.
    """
    found: dict[str, list[float]] = {name: [] for name in imported}
    for _ in range(times + 1):
        for name, modules in imported.items():
            command = [str(python), "-c", TIMED_IMPORT.format(modules)]
            found[name].append(float(output(f"import {modules}", command)))
    return {name: seconds[1:] for name, seconds in found.items()}


def output(what: str, command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
    """What *command* prints."""
    around = {**surroundings(), **(variables or {})}
    done = subprocess.run(
        command, cwd=ROOT, env=around, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    if done.returncode:
        raise SystemExit(f"{what} failed:\n{done.stderr}")
    return done.stdout


def surroundings() -> dict[str, str]:
    """The environment variables, without settings of the caller's Python, of Flowrra or of asyncio."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FLOWRRA_"))}


def machine() -> str:
    """What the figures were measured on."""
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}"
