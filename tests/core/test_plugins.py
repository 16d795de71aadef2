"""Loading plugins: once, whichever way one of them fails, and never with a mistake unnoticed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowrra.discovery import Installed
from flowrra.exceptions import PluginError
from flowrra.hookspecs import PLAIN_HOOKS, hookimpl
from flowrra.plugins import Plugins

Install = Callable[..., None]

GOOD = """
from flowrra.hookspecs import hookimpl

print("imported", __name__)

@hookimpl
def flowrra_task_started(calls): ...

@hookimpl
async def flowrra_startup(app): ...
"""
BROKEN = "import no_such_module"
MISSPELT = """
from flowrra.hookspecs import hookimpl

@hookimpl
def flowrra_task_startd(calls): ...
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one plugin: ``install("acme", source)``, its module ``<name>_plugin``."""

    def install(name: str, source: str, plugin: str | None = None) -> None:
        site = tmp_path / name
        metadata = site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[flowrra.plugins]\n{plugin or name} = {name}_plugin")
        (site / f"{name}_plugin.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))

    before = set(sys.modules)
    monkeypatch.setattr(Plugins, "_installed", None)
    yield install
    for module in sys.modules.keys() - before:
        del sys.modules[module]


def loaded(plugins: Plugins) -> dict[str, tuple[str, ...]]:
    """The hooks of the plugins that the tests installed."""
    return {each.source.name: each.hooks for each in plugins.loaded if "_plugin" in each.source.value}


def test_an_installed_plugin_is_loaded_once(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("good", GOOD)

    first = Plugins.installed()

    assert Plugins.installed() is first
    assert first.on_started
    assert loaded(first) == {"good": ("flowrra_startup", "flowrra_task_started")}
    assert capsys.readouterr().out == "imported good_plugin\n"


def test_many_threads_load_plugins_once(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("good", GOOD)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: Plugins.installed(), range(32)))

    assert len({id(each) for each in found}) == 1
    assert capsys.readouterr().out == "imported good_plugin\n"


def test_a_refresh_finds_what_was_installed_meanwhile(install: Install) -> None:
    before = Plugins.installed()
    install("good", GOOD)

    assert Plugins.installed() is before
    assert loaded(Plugins.installed(refresh=True)) == {"good": ("flowrra_startup", "flowrra_task_started")}


def test_a_broken_plugin_is_reported_and_skipped(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once, whoever asks how often, and the others work."""
    install("bad", BROKEN)
    install("good", GOOD)

    plugins = Plugins.installed()
    Plugins.installed()

    [failure] = plugins.failures
    text = (
        "plugin 'bad' (bad_plugin, from bad 1.0) failed to load: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert failure.source == Installed("bad", "bad_plugin", "bad", "1.0")
    assert str(failure.error) == text
    assert isinstance(failure.error.__cause__, ModuleNotFoundError)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, f"{text}; it is skipped")
    ]
    assert set(loaded(plugins)) == {"good"}


@pytest.mark.parametrize("source", ["import sys; sys.exit(2)", "1/0", "def broken(:"])
def test_no_way_to_fail_takes_the_host_down(install: Install, source: str) -> None:
    install("bad", source)

    assert [each.source.name for each in Plugins.installed().failures] == ["bad"]


def test_a_misspelt_hook_is_an_error(install: Install) -> None:
    """Also the second time: an app that is started again has the same mistake."""
    install("toy", MISSPELT)

    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            Plugins.installed()
        assert str(caught.value) == (
            "plugin 'toy' (toy_plugin, from toy 1.0) implements 'flowrra_task_startd' "
            "but there is no such hook; did you mean 'flowrra_task_started'?"
        )


@pytest.mark.parametrize("value", ["bad,toy", " toy , bad ,", "bad,toy,unheard-of"])
def test_plugins_can_be_disabled(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    """A disabled plugin is not even imported, so neither a failure nor a mistake of its counts."""
    install("bad", BROKEN)
    install("toy", MISSPELT)
    install("good", GOOD)
    monkeypatch.setenv("FLOWRRA_DISABLE_PLUGINS", value)

    plugins = Plugins.installed()

    assert set(loaded(plugins)) == {"good"}
    assert plugins.failures == ()
    assert plugins.disabled == (
        Installed("bad", "bad_plugin", "bad", "1.0"),
        Installed("toy", "toy_plugin", "toy", "1.0"),
    )
    assert caplog.text == ""
    assert not {"bad_plugin", "toy_plugin"} & sys.modules.keys()


def test_plugins_are_disabled_by_entry_point_name(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("toy", MISSPELT, plugin="tracing")
    monkeypatch.setenv("FLOWRRA_DISABLE_PLUGINS", "tracing")

    assert [each.name for each in Plugins.installed().disabled] == ["tracing"]


def _module(**members: Any) -> ModuleType:
    module = ModuleType("acme")
    vars(module).update(members)
    return module


def test_a_wrong_argument_is_an_error_that_names_the_near_one() -> None:
    @hookimpl
    def flowrra_task_started(app: Any, call: Any) -> None: ...

    with pytest.raises(PluginError) as caught:
        Plugins([_module(flowrra_task_started=flowrra_task_started)])

    assert str(caught.value) == (
        "plugin 'acme' (acme) implements 'flowrra_task_started' with an argument 'call'; "
        "it has: app, calls; did you mean 'calls'?"
    )


def test_a_wrong_argument_with_a_default_is_an_error_too() -> None:
    """It would never be given, which nobody would notice."""

    @hookimpl
    def flowrra_ui_routes(prefix: str = "/") -> None: ...

    with pytest.raises(PluginError, match=r"with an argument 'prefix'; it has: none$"):
        Plugins([_module(flowrra_ui_routes=flowrra_ui_routes)])


@pytest.mark.parametrize("hook", sorted(PLAIN_HOOKS))
def test_a_plain_hook_refuses_an_async_implementation(hook: str) -> None:
    @hookimpl(specname=hook)
    async def implementation() -> None: ...

    with pytest.raises(PluginError, match=f"{hook}' with 'async def', but nothing can be awaited there"):
        Plugins([_module(implementation=implementation)])


def test_a_wrapper_is_refused() -> None:
    """A hook can't span an await; middleware can."""

    @hookimpl(wrapper=True)
    def flowrra_task_started() -> Iterator[None]:
        yield

    with pytest.raises(PluginError, match=r"as a wrapper.*app\.middleware"):
        Plugins([_module(flowrra_task_started=flowrra_task_started)])


def test_an_optional_hook_may_be_unknown() -> None:
    """A plugin may implement a hook that only a later version has."""

    @hookimpl(optionalhook=True)
    def flowrra_worker_lost() -> None: ...

    assert Plugins([_module(flowrra_worker_lost=flowrra_worker_lost)]).failures == ()


async def test_a_plugin_given_twice_is_called_once() -> None:
    calls: list[str] = []

    @hookimpl
    def flowrra_startup() -> None:
        calls.append("called")

    module = _module(flowrra_startup=flowrra_startup)
    await Plugins([module, module]).startup(_module())

    assert calls == ["called"]


def test_a_set_of_plugins_needs_no_installation() -> None:
    """For applications and tests; what is installed is not part of it."""

    class Plugin:
        @hookimpl
        async def flowrra_startup(self, app: Any) -> None:
            await asyncio.sleep(0)

    [only] = Plugins([Plugin()]).loaded

    assert only.source == Installed("Plugin", f"{__name__}:{Plugin.__qualname__}")
    assert only.hooks == ("flowrra_startup",)
