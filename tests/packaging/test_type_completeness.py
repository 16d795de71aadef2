"""Type checkers know every public name of the installed wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from environments import Environment

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("package", ["flowrra", "flowrra.redis"])
def test_every_public_name_has_a_known_type(package: str, environment: Environment, wheels: Path) -> None:
    """With everything installed that a public signature may name."""
    environment.uv("install", "flowrra-core[testing]", "flowrra[all]", "--find-links", wheels)

    completeness = _verify(package, environment)

    unknown = [
        symbol["name"]
        for symbol in completeness["symbols"]
        if symbol["isExported"] and not symbol["isTypeKnown"]
    ]
    assert unknown == []
    assert completeness["exportedSymbolCounts"]["withKnownType"] > 0
    assert completeness["completenessScore"] == 1


def _verify(package: str, environment: Environment) -> dict[str, Any]:
    """Run pyright beside *environment*, which it finds because its ``python`` is the first on PATH."""
    path = f"{environment.python.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", package, "--ignoreexternal", "--outputjson"],
        cwd=environment.folder,
        env={**os.environ, "PATH": path, "VIRTUAL_ENV": str(environment.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return answer["typeCompleteness"]
