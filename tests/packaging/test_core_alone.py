"""The core's wheel by itself: what it brings, and what importing it loads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from environments import Environment

pytestmark = pytest.mark.timeout(300)

LOADED = (
    "import flowrra, json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
)
SUBMODULES = (
    "import flowrra, json, sys; print(json.dumps([m for m in sys.modules if m.startswith('flowrra.')]))"
)


@pytest.fixture
def core_alone(environment: Environment, wheels: Path) -> Environment:
    """An environment with the core and what it needs."""
    environment.uv("install", *wheels.glob("flowrra_core-*.whl"))
    return environment


def test_core_brings_pluggy_and_nothing_else(core_alone: Environment) -> None:
    assert core_alone.distributions() == {"flowrra-core", "pluggy"}


def test_importing_core_loads_pluggy_and_the_standard_library(core_alone: Environment) -> None:
    third_party = set(core_alone.ask(LOADED)) - sys.stdlib_module_names - {"__main__", "_virtualenv"}

    assert third_party <= {"flowrra", "pluggy"}


def test_importing_core_loads_no_plugin_that_is_installed() -> None:
    """In this environment everything is installed, and ``import flowrra`` leaves it alone."""
    loaded = set(_ask_here(LOADED))

    assert loaded.isdisjoint({"click", "rich", "pytest", "hypothesis", "uvloop", "watchfiles"})
    assert [
        name for name in _ask_here(SUBMODULES) if name.startswith(("flowrra.cli", "flowrra.testing"))
    ] == []


def test_core_without_the_command_line_says_what_to_install(core_alone: Environment) -> None:
    status, complaint = core_alone.fail("-m", "flowrra")

    assert status != 0
    assert "pip install flowrra-cli" in complaint
    assert "Traceback" not in complaint


def _ask_here(program: str) -> list[str]:
    return Environment(Path(sys.prefix)).ask(program)  # type: ignore[no-any-return]
