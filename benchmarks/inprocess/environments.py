"""A virtual environment per peer, made from its pinned requirements and kept until they change."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.inprocess.peers import OURS

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "benchmarks" / "requirements"
CACHE = ROOT / "benchmarks" / ".venv-bench"


def prepare(name: str) -> Path:
    """The interpreter of the environment *name*, built or brought up to date."""
    folder = CACHE / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pinned, stamp = _pinned(name), folder / "benchmark-stamp"
    wanted = hashlib.sha256(f"{sys.version}\n{pinned}".encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"preparing the environment {name}", flush=True)
        _build(name, folder, python)
        stamp.write_text(wanted)
    if name in OURS:
        _install_core(python)
    return python


def _pinned(name: str) -> str:
    file = REQUIREMENTS / f"{name}.txt"
    return file.read_text() if file.exists() else ""


def _build(name: str, folder: Path, python: Path) -> None:
    _uv("venv", "--clear", "--python", sys.executable, str(folder))
    if _pinned(name):
        pinned = str(REQUIREMENTS / f"{name}.txt")
        _uv("pip", "install", "--python", str(python), "--require-hashes", "-r", pinned)


def _install_core(python: Path) -> None:
    """As users get it: a wheel, built now from the working tree."""
    backend = str(REQUIREMENTS / "build.txt")
    options = ["--no-deps", "--reinstall", "--build-constraints", backend]
    _uv("pip", "install", "--python", str(python), *options, str(ROOT / "flowrra-core"))


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments)} failed:\n{done.stderr}")
