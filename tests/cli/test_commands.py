"""The commands that need no other process, and what is said when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from flowrra import __version__

HOOKED = """
import click
from flowrra.hookspecs import hookimpl

@hookimpl
def flowrra_register_commands(cli):
    @cli.command()
    def greet():
        "Greet whoever asks."
        click.echo("hello")

    @cli.command("doctor")
    def mine():
        "Not shown."
"""


def test_the_version(flowrra: Any) -> None:
    assert flowrra("--version").out == f"flowrra {__version__}\n"


def test_help_lists_the_commands_and_imports_none(flowrra: Any) -> None:
    done = flowrra("--help")
    program = (
        "import sys; from flowrra.cli.main import run; run(['--help'], 'flowrra');"
        "heavy = {'rich', 'flowrra.cli.worker', 'flowrra.cli.demo', 'flowrra.cli.runs', 'http', 'msgspec'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    checked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.code == 0
    for name in ("demo", "worker", "submit", "runs", "queues", "plugins", "doctor"):
        assert f"\n  {name} " in done.out
    assert "Exit codes: 0 done" in done.out
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "command",
    ["demo", "worker", "submit", "runs", "queues", "plugins", "doctor", "runs show", "queues purge"],
)
def test_every_command_has_help_and_takes_o(flowrra: Any, command: str) -> None:
    done = flowrra(*command.split(), "--help")

    assert done.code == 0
    assert "-o, --output [text|json]" in done.out


def test_python_m_flowrra_is_the_same(flowrra: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flowrra", "wrker"],
        cwd=flowrra.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "Usage: python -m flowrra" in done.stderr
    assert "Error: no command 'wrker': did you mean 'worker'?" in done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("worker nope:app", "no module named 'nope' in "),
        ("worker taks:app", "did you mean tasks?"),
        ("worker tasks:ap", "module 'tasks' has no 'ap'; its applications: app"),
        ("worker tasks:make", "tasks:make is a function; if it makes the application, write tasks:make()"),
        ("worker tasks:add", "tasks:add is no application but of type Task; its applications: app"),
        ("worker tasks:number", "tasks:number is no application but of type int; its applications: app"),
        ("worker broken:make()", "broken:make() failed"),
        ("worker empty", "module 'empty' has no application; define one: app = Flowrra()"),
        ("worker empty:app", "module 'empty' has no 'app'; it has no application: app = Flowrra()"),
        ("worker two", "module 'two' has several applications; choose one: two:first, two:second"),
        ("worker needy:app", "module 'needy' needs 'a_package_that_nobody_has', which isn't installed here"),
        ("worker ./absent.py:app", "there is no file ./absent.py"),
        ("worker 1x:app", "'1x:app' names no module; write module:app"),
        ("worker tasks:app --queues " + "x" * 201, "--queues is "),
        ("submit tasks:app ad 1 2", "no task named 'ad': did you mean 'add'?"),
        ("submit tasks:app add one 2", """argument 1, one, is no JSON; as a text it is written '"one"'"""),
        ("submit tasks:app add --kwargs [1]", "--kwargs is [1]; a JSON object is needed"),
        ("submit tasks:app add 1 2", "submit: a queue on memory:// lives in the memory of the process"),
        ("runs", "sqlite:///flowrra.db or redis://localhost:6379/0"),
        ("runs show x", "runs show: a queue on memory://"),
        ("queues", "queues: a queue on memory://"),
        ("queues pause default", "queues pause: a queue on memory://"),
        ("runs --broker amqp://u:secret@h/0", "no broker for 'amqp' URLs; installed: "),
        ("runs --broker nonsense", "broker.url can't be used: a URL must begin with its scheme"),
        ("plugin", "no command 'plugin': did you mean 'plugins'?"),
        ("frobnicate", "no command 'frobnicate': see: flowrra --help"),
        ("worker", "Missing argument 'MODULE:APP'"),
        ("worker tasks:app --health-port x", "'x' is not a valid integer"),
    ],
)
def test_errors_are_for_people(flowrra: Any, command: str, message: str) -> None:
    """One message, no traceback of ours, no password, exit code 2; with -o json an object."""
    flowrra.write("broken.py", "def make():\n    raise RuntimeError('no luck')\n")
    flowrra.write("empty.py", "")
    flowrra.write("two.py", "from flowrra import Flowrra\nfirst, second = Flowrra(), Flowrra()\n")
    flowrra.write("needy.py", "import a_package_that_nobody_has\n")

    told = flowrra(*command.split())
    as_json = flowrra("-o", "json", *command.split())

    assert (told.code, told.out) == (2, "")
    assert message in told.err
    assert "secret" not in told.err
    assert message in as_json.error["message"]


def test_arguments_are_compared_with_the_function(shared: Any) -> None:
    refused = shared("submit", "tasks:app", "add", "1")

    assert (refused.code, "task 'add': missing a required argument: 'b'" in refused.err) == (2, True)


def test_an_error_in_the_module_shows_its_own_frames_only(flowrra: Any) -> None:
    flowrra.write("broken.py", "def f():\n    return 1 / 0\n\nf()\n")

    refused = flowrra("worker", "broken:app")

    assert refused.code == 2
    assert refused.err.startswith("Error: module 'broken' can't be imported\n  File ")
    assert refused.err.count("  File ") == 2
    assert refused.err.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    "target", ["tasks:app", "tasks", "tasks:make()", "tasks.py:app", "./tasks.py", "pkg.inner"]
)
def test_ways_to_name_an_application(flowrra: Any, target: str, until: Callable[..., str]) -> None:
    (flowrra.folder / "pkg").mkdir()
    flowrra.write("pkg/__init__.py", "")
    flowrra.write("pkg/inner.py", "from tasks import app")

    worker = flowrra.start("worker", target)

    assert "4 tasks" in until(worker.stderr, "worker ")


def test_plugins_as_json(flowrra: Any) -> None:
    inventory = flowrra("plugins", "-o", "json").json

    assert {"name": "flowrra-cli", "version": __version__} in inventory["distributions"]
    assert {
        "kind": "broker", "name": "memory", "value": "flowrra.memory:broker",
        "distribution": "flowrra-core", "version": __version__,
    } in inventory["serving"]  # fmt: skip
    assert inventory["failed"] == []


def test_plugins_shows_hooks_failures_and_what_is_disabled(flowrra: Any, install: Any) -> None:
    install("hooked", "[flowrra.plugins]\nhooked = hooked\n", HOOKED)
    install(
        "broken",
        "[flowrra.plugins]\nbroken = broken\n[flowrra.brokers]\nodd = broken:b\n",
        "import nobody_has_it",
    )
    install("off", "[flowrra.plugins]\noff = off\n", "")
    flowrra.environ["FLOWRRA_DISABLE_PLUGINS"] = "off"

    done = flowrra("plugins")

    assert done.code == 1
    assert "hooked  flowrra_register_commands  hooked" in done.out
    assert "disabled by FLOWRRA_DISABLE_PLUGINS: off (off)" in done.out
    assert done.out.count("No module named 'nobody_has_it'") == 2
    assert done.err == ""
    assert flowrra("plugins", "-o", "json").json["disabled"][0]["name"] == "off"


def test_plugins_add_commands_beside_ours(flowrra: Any, install: Any) -> None:
    install("hooked", "[flowrra.plugins]\nhooked = hooked\n", HOOKED)

    overview = flowrra("--help")

    assert flowrra("greet").out == "hello\n"
    assert "\n  greet    Greet whoever asks.\n" in overview.out
    assert "Not shown." not in overview.out
    assert "Check versions" in flowrra("doctor", "--help").out


def test_a_misspelt_hook_does_not_silence_the_command_line(flowrra: Any, install: Any) -> None:
    install(
        "odd",
        "[flowrra.plugins]\nodd = odd\n",
        "from flowrra.hookspecs import hookimpl\n@hookimpl\ndef flowrra_strtup(): ...",
    )

    overview, listed = flowrra("--help"), flowrra("plugins")

    assert overview.code == 0
    assert "Warning: plugin 'odd'" in overview.err
    assert (listed.code, "did you mean 'flowrra_startup'?" in listed.out.replace("\n", " ")) == (1, True)


def test_doctor_is_content_with_a_fresh_installation(flowrra: Any) -> None:
    report = flowrra("doctor", "-o", "json").json

    assert report["ok"] is True
    assert {finding["name"] for finding in report["findings"]} >= {
        "python", "versions", "plugins", "configuration", "broker", "backend", "clock",
    }  # fmt: skip
    assert "All is well." in flowrra("doctor").out


def test_doctor_says_where_settings_come_from_and_hides_passwords(flowrra: Any) -> None:
    flowrra.write(
        "pyproject.toml", "[tool.flowrra.executor]\nnum_workers = 7\n[tool.flowrra.backend]\nttl = 60\n"
    )
    flowrra.environ["FLOWRRA_BROKER_URL"] = "memory://user:secret@here"

    done = flowrra("doctor", "-o", "json")

    configuration = next(f["detail"] for f in done.json["findings"] if f["name"] == "configuration")
    assert "broker.url = memory://user:***@here  (from FLOWRRA_BROKER_URL)" in configuration
    assert f"executor.num_workers = 7  (from {flowrra.folder / 'pyproject.toml'})" in configuration
    assert "secret" not in done.out


@pytest.mark.parametrize(
    ("setting", "name", "detail"),
    [
        (("FLOWRRA_EXECUTOR_NUM_WORKERS", "many"), "configuration", "FLOWRRA_EXECUTOR_NUM_WORKERS is 'many'"),
        (("FLOWRRA_BROKER_URL", "amqp://:secret@h"), "connections", "no broker for 'amqp' URLs; installed: "),
    ],
)
def test_doctor_says_what_to_do(flowrra: Any, setting: tuple[str, str], name: str, detail: str) -> None:
    """Each failure ends with advice, and the exit code is 1."""
    flowrra.environ[setting[0]] = setting[1]

    done = flowrra("doctor", "-o", "json")

    failed = [finding for finding in done.json["findings"] if not finding["ok"]]
    assert done.code == 1
    assert name in [finding["name"] for finding in failed]
    assert detail in json.dumps(failed)
    assert all(finding["advice"] for finding in failed)
    assert "secret" not in done.out
