"""The wheel of flowrra-redis: what it holds, and that it works beside the core's wheel alone."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from environments import Environment

pytestmark = pytest.mark.timeout(300)

REDIS = Path(__file__).parents[2] / "flowrra-redis" / "src" / "flowrra" / "redis"

INSTALLED = """
import json, sys
from flowrra import discovery
found = [{row.name: row.distribution for row in group.installed()}
         for group in (discovery.brokers, discovery.backends)]
print(json.dumps([*found, [name for name in sys.modules if name.startswith(("flowrra.redis", "redis"))]]))
"""

TASKS = """
import os
from flowrra import Flowrra

app = Flowrra(broker=os.environ["FLOWRRA_BROKER_URL"])

@app.task()
async def double(number):
    return number * 2
"""

WORK = """
import asyncio
from tasks import *

async def main():
    async with app:
        print(await (await double.submit(21)).result(timeout=30))

asyncio.run(main())
"""


@pytest.fixture
def redis_wheel(wheels: Path) -> Path:
    """The wheel."""
    [wheel] = wheels.glob("flowrra_redis-*.whl")
    return wheel


def _call(environment: Environment, url: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run *command* where ``tasks.py`` is, which takes its broker's URL from the environment."""
    (environment.folder / "tasks.py").write_text(TASKS)
    return subprocess.run(
        [str(part) for part in command], cwd=environment.folder, env={"FLOWRRA_BROKER_URL": url},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_wheel_holds_the_package_with_its_scripts(redis_wheel: Path) -> None:
    """Every module and script of the source, the marker for type checkers, and nothing else."""
    files = {file for file in zipfile.ZipFile(redis_wheel).namelist() if ".dist-info/" not in file}
    source = [file for file in REDIS.rglob("*") if file.is_file() and "__pycache__" not in file.parts]

    assert files == {f"flowrra/redis/{file.relative_to(REDIS)}" for file in source}
    assert "flowrra/redis/py.typed" in files
    assert "flowrra/redis/lua/claim.lua" in files


def test_it_works_beside_the_core_alone(
    environment: Environment, wheels: Path, redis_wheel: Path, redis_url: str
) -> None:
    """Without the command line; listing what is installed imports nothing of it."""
    environment.uv("install", redis_wheel, "--find-links", wheels)
    brokers, backends, loaded = environment.ask(INSTALLED)

    assert {"flowrra-core", "flowrra-redis", "redis", "hiredis"} <= environment.distributions()
    assert "flowrra-cli" not in environment.distributions()
    for found in (brokers, backends):
        assert {name for name, owner in found.items() if owner == "flowrra-redis"} == {
            "redis",
            "rediss",
            "unix",
        }
    assert loaded == []
    worked = _call(environment, redis_url, environment.python, "-W", "error", "-c", WORK)
    assert (worked.returncode, worked.stdout, worked.stderr) == (0, "42\n", "")


def test_the_extra_brings_redis_and_the_command_line(
    environment_with_pip: Environment, wheels: Path, version: str, redis_url: str
) -> None:
    """``pip install flowrra[redis]``, then a worker's tools reach the server."""
    environment_with_pip.pip("install", f"flowrra[redis]=={version}", "--find-links", wheels)
    flowrra = environment_with_pip.python.parent / "flowrra"

    worked = _call(environment_with_pip, redis_url, environment_with_pip.python, "-c", WORK)
    doctor = _call(environment_with_pip, redis_url, flowrra, "doctor")
    runs = _call(environment_with_pip, redis_url, flowrra, "runs", "-o", "json")

    assert (worked.returncode, worked.stdout) == (0, "42\n"), worked.stderr
    assert (doctor.returncode, "flowrra-redis" in doctor.stdout) == (0, True), doctor.stdout + doctor.stderr
    assert (runs.returncode, '"double"' in runs.stdout) == (0, True), runs.stdout + runs.stderr


def test_without_it_the_core_says_what_to_install(environment: Environment, wheels: Path) -> None:
    environment.uv("install", *wheels.glob("flowrra_core-*.whl"))
    for url in ("redis://localhost", "rediss://localhost", "unix:///run/redis.sock"):
        refused = _call(environment, url, environment.python, "-c", WORK)

        scheme = url.partition(":")[0]
        assert refused.returncode == 1
        assert (
            f"UnknownSchemeError: no broker for '{scheme}' URLs; installed: memory. "
            "Try: pip install flowrra-redis"
        ) in refused.stderr
