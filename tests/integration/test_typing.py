"""The type checkers find what they should, and nothing else, in the files of ``tests/typing``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "typing"

MYPY = ["-m", "mypy", "--config-file", "pyproject.toml", "--strict", "--warn-unused-ignores"]
PYRIGHT = ["-m", "pyright", "--warnings"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_types(checker: list[str]) -> None:
    """Where an expected error is missing, its ``ignore`` is unused, and that is reported."""
    files = sorted(str(file.relative_to(ROOT)) for file in FOLDER.glob("*.py"))
    assert len(files) >= 3
    done = subprocess.run(
        [sys.executable, *checker, *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
