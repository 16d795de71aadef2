"""A virtual environment per peer, made from its pinned requirements and kept until they change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "benchmarks" / "requirements"
CACHE = ROOT / "benchmarks" / ".venv-bench"

LIST = """
import json
from importlib.metadata import distributions
print(json.dumps({each.metadata["Name"]: each.version for each in distributions()}))
"""


def prepare(name: str, wheels: Iterable[str] = ()) -> Path:
    """The interpreter of the environment *name*, built or brought up to date.

    *wheels* are folders of the working tree whose distributions it has besides what is pinned.
    """
    folder = CACHE / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pinned, stamp = _pinned(name), folder / "benchmark-stamp"
    wanted = hashlib.sha256(f"{sys.version}\n{pinned}".encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"preparing the environment {name}", flush=True)
        _build(name, folder, python)
        stamp.write_text(wanted)
    for wheel in wheels:
        _install(python, ROOT / wheel)
    return python


def versions(python: Path) -> dict[str, str]:
    """The distributions that an environment has."""
    done = subprocess.run([str(python), "-c", LIST], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _pinned(name: str) -> str:
    file = REQUIREMENTS / f"{name}.txt"
    return file.read_text() if file.exists() else ""


def _build(name: str, folder: Path, python: Path) -> None:
    _uv("venv", "--clear", "--python", sys.executable, str(folder))
    if _pinned(name):
        pinned = str(REQUIREMENTS / f"{name}.txt")
        _uv("pip", "install", "--python", str(python), "--require-hashes", "-r", pinned)


def _install(python: Path, folder: Path) -> None:
    """As users get it: a wheel, built now from the working tree."""
    backend = str(REQUIREMENTS / "build.txt")
    options = ["--no-deps", "--reinstall", "--build-constraints", backend]
    _uv("pip", "install", "--python", str(python), *options, str(folder))


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")
