"""Leaving the published 0.1.8, which owned files that the core owns now, for the metapackage."""

from __future__ import annotations

from pathlib import Path

import pytest

from environments import Environment

pytestmark = pytest.mark.timeout(300)

OLD = "flowrra==0.1.8"
USE_OLD = "import flowrra, json; print(json.dumps(flowrra.__version__))"
USE_NEW = (
    "import flowrra, json; from flowrra import Flowrra; Flowrra(); print(json.dumps(flowrra.__version__))"
)
LEFT = (
    "import flowrra, json, pathlib;"
    "print(json.dumps([str(f) for p in flowrra.__path__ for f in pathlib.Path(p).rglob('*.py')]))"
)


def test_uv_upgrades_in_place(environment: Environment, wheels: Path, version: str) -> None:
    environment.uv("install", OLD)
    assert environment.ask(USE_OLD) == "0.1.8"

    environment.uv("install", "--upgrade", f"flowrra=={version}", "--find-links", wheels)

    _is_new(environment, version)


def test_pip_upgrades_after_an_uninstall(
    environment_with_pip: Environment, wheels: Path, version: str
) -> None:
    environment_with_pip.pip("install", OLD)
    assert environment_with_pip.ask(USE_OLD) == "0.1.8"

    environment_with_pip.pip("uninstall", "-y", "flowrra")
    environment_with_pip.pip("install", f"flowrra=={version}", "--find-links", wheels)

    _is_new(environment_with_pip, version)


def _is_new(environment: Environment, version: str) -> None:
    """The new package works, its command is there, and no module of the old one is left."""
    assert environment.ask(USE_NEW) == version
    assert {"flowrra", "flowrra-cli", "flowrra-core"} <= environment.distributions()
    assert (environment.python.parent / "flowrra").is_file()
    assert not [name for name in environment.ask(LEFT) if "/brokers/" in name or "/scheduler/" in name]
