"""A plugin by somebody else: built outside the workspace, installed beside the core alone, and used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from environments import Environment, run

pytestmark = pytest.mark.timeout(300)

EXAMPLE = Path(__file__).parents[2] / "examples" / "third-party-plugin"

PROGRAM = """
import asyncio, json, os
from flowrra import Flowrra
from flowrra.discovery import brokers
from flowrra.plugins import Plugins
from flowrra_toy.hooks import diary

app = Flowrra.from_urls(broker="toy://")
attempts = 0
threads = []

@app.task(retry_delay=0.01)
async def flaky(name):
    global attempts
    attempts += 1
    if attempts < 3:
        raise ConnectionError("not yet")
    return f"hello {name}"

@app.task(executor="inline")
def double(number):
    import threading
    threads.append(threading.current_thread() is threading.main_thread())
    return number * 2

@app.task(max_retries=0)
def hopeless():
    raise ValueError("never")

@app.task()
async def origin():
    from flowrra import current_task
    return current_task().headers["origin"]

async def main():
    async with app:
        handles = [await flaky.submit("toy"), await double.submit(21), await origin.submit()]
        values = [await handle.result(timeout=30) for handle in handles]
        failed = await app.wait_for_result(await app.submit(hopeless), timeout=30)
    return values, failed.error

values, error = asyncio.run(main())
print(json.dumps({
    "values": values, "error": error, "pid": os.getpid(), "inline": threads, "diary": list(diary),
    "failures": [each.source.name for each in Plugins.installed().failures],
    "disabled": [each.name for each in Plugins.installed().disabled],
    "sources": {row.name: row.distribution for row in brokers.installed()},
}))
"""

START = """
import asyncio
from flowrra import Flowrra

async def main():
    async with Flowrra():
        print('"started"')

asyncio.run(main())
"""

UNKNOWN = """
import asyncio
from flowrra import Flowrra

async def main():
    async with Flowrra.from_urls(broker="redis://localhost"):
        pass

asyncio.run(main())
"""

BROKEN = "import a_module_that_nobody_has\n"
MISSPELT = """
from flowrra.hookspecs import hookimpl

@hookimpl
def flowrra_task_finish(results): ...
"""


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's wheel."""
    return build(EXAMPLE, tmp_path_factory.mktemp("toy"))


@pytest.fixture
def toy_installed(environment_with_pip: Environment, wheels: Path, toy: Path) -> Environment:
    """An environment with the core and the example."""
    environment_with_pip.pip("install", *wheels.glob("flowrra_core-*.whl"), toy)
    return environment_with_pip


def build(project: Path, folder: Path) -> Path:
    """Build a project's wheel."""
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, project)
    [wheel] = folder.glob("*.whl")
    return wheel


def build_plugin(name: str, source: str, folder: Path) -> Path:
    """Build a distribution of one module that is a plugin called *name*."""
    project = folder / f"flowrra-{name}"
    (project / f"flowrra_{name}").mkdir(parents=True)
    (project / f"flowrra_{name}" / "__init__.py").write_text(source)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "flowrra-{name}"\nversion = "1.0"\ndependencies = ["flowrra-core"]\n'
        f'[project.entry-points."flowrra.plugins"]\n{name} = "flowrra_{name}"\n'
    )
    return build(project, project / "dist")


def start(environment: Environment, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run *program* there, under *variables*."""
    return subprocess.run(
        [str(environment.python), "-W", "error", "-c", program],
        cwd=environment.folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_third_partys_plugin_works(toy_installed: Environment) -> None:
    """Broker and executor are found by name, retries work with the mandatory methods alone, hooks fire."""
    answer = toy_installed.ask(PROGRAM)

    assert toy_installed.distributions() - {"pip", "setuptools"} == {"flowrra-core", "flowrra-toy", "pluggy"}
    assert answer["values"] == ["hello toy", 42, f"process {answer['pid']}"]
    assert answer["inline"] == [True]
    assert answer["error"] == "ValueError: never"
    assert answer["sources"] == {"memory": "flowrra-core", "toy": "flowrra-toy"}
    assert answer["failures"] == answer["disabled"] == []
    assert (answer["diary"][0], answer["diary"][-1]) == ("started", "stopped")
    assert sorted(answer["diary"][1:-1]) == [
        "double ended as success",
        "flaky ended as success",
        "flaky failed with ConnectionError: not yet and is tried again",
        "flaky failed with ConnectionError: not yet and is tried again",
        "hopeless ended as failed",
        "origin ended as success",
    ]


def test_plugins_that_are_wrong(toy_installed: Environment, tmp_path: Path) -> None:
    """One that can't be imported is skipped; a misspelt hook is an error; both can be left out."""
    toy_installed.pip("install", build_plugin("broken", BROKEN, tmp_path))

    skipped = start(toy_installed, START)
    assert skipped.stdout == '"started"\n', skipped.stderr
    assert toy_installed.ask(PROGRAM)["failures"] == ["broken"]
    assert (
        "plugin 'broken' (flowrra_broken, from flowrra-broken 1.0) failed to load: "
        "ModuleNotFoundError: No module named 'a_module_that_nobody_has'; it is skipped"
    ) in start(toy_installed, f"import logging; logging.basicConfig()\n{START}").stderr

    toy_installed.pip("install", build_plugin("misspelt", MISSPELT, tmp_path))

    refused = start(toy_installed, START)
    assert refused.returncode != 0
    assert (
        "PluginError: plugin 'misspelt' (flowrra_misspelt, from flowrra-misspelt 1.0) implements "
        "'flowrra_task_finish' but there is no such hook; did you mean 'flowrra_task_finished'?"
    ) in refused.stderr

    disabled = start(toy_installed, PROGRAM, FLOWRRA_DISABLE_PLUGINS="misspelt,broken")
    assert '"disabled": ["broken", "misspelt"]' in disabled.stdout, disabled.stderr
    assert '"failures": []' in disabled.stdout


def test_an_unknown_scheme_says_what_is_there_and_what_to_install(toy_installed: Environment) -> None:
    refused = start(toy_installed, UNKNOWN)

    assert refused.returncode != 0
    assert (
        "UnknownSchemeError: no broker for 'redis' URLs; installed: memory, toy. "
        "Try: pip install flowrra-redis"
    ) in refused.stderr


def test_the_examples_own_tests_pass() -> None:
    environ = {**os.environ, "PYTHONPATH": str(EXAMPLE / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE)],
        cwd=EXAMPLE, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
