"""Wheels, built once, and environments to install them into."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from environments import Environment, run

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def version() -> str:
    """The version of this working tree."""
    return str(tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))["project"]["version"])


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of every distribution, the metapackage included."""
    folder = tmp_path_factory.mktemp("wheels")
    projects = [REPO, *(file.parent for file in sorted(REPO.glob("flowrra-*/**/pyproject.toml")))]
    for project in projects:
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, project)
    return folder


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty server of the test's own."""
    servers = import_module("servers")  # tests/redis/servers.py
    with servers.RedisServer(appendonly="yes") as server:
        yield server.url()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An empty environment of this interpreter's version, without pip."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, folder, cwd=tmp_path)
    return Environment(folder)


@pytest.fixture
def environment_with_pip(tmp_path: Path) -> Environment:
    """An environment as ``python -m venv`` makes it."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", folder)
    return Environment(folder)
