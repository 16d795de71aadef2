"""Finding the implementation that serves a URL, in real distributions on ``sys.path``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowrra import discovery
from flowrra.discovery import Installed, Registry
from flowrra.exceptions import PluginError, UnknownSchemeError

GROUP = "flowrra.testing_brokers"
Install = Callable[..., None]
Factory = Callable[[], str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution: ``install("acme", entries={"acme": "module:broker"}, module="...")``."""

    def install(name: str, *, entries: dict[str, str], version: str = "1.0", **modules: str) -> None:
        site = tmp_path / name
        metadata = site / f"{name}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"[{GROUP}]", *(f"{key} = {value}" for key, value in entries.items())]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))

    before = set(sys.modules)
    yield install
    for module in sys.modules.keys() - before:
        del sys.modules[module]


@pytest.fixture
def brokers() -> Registry[Factory]:
    return Registry("broker", GROUP, {"redis": "flowrra-redis"})


def test_an_entry_point_serves_the_scheme_of_its_name(brokers: Registry[Factory], install: Install) -> None:
    install("acme", entries={"acme": "acme_broker:broker"}, acme_broker="def broker(): return 'acme'")

    assert brokers.resolve("acme")() == "acme"
    assert brokers.resolve("acme") is brokers.resolve("acme")


def test_listing_imports_nothing(brokers: Registry[Factory], install: Install) -> None:
    install("acme", entries={"b": "acme_broken:b", "a": "acme_broken:a"}, acme_broken="raise RuntimeError")

    assert brokers.names() == ["a", "b"]
    assert brokers.installed() == [
        Installed("a", "acme_broken:a", "acme", "1.0"),
        Installed("b", "acme_broken:b", "acme", "1.0"),
    ]
    assert "acme_broken" not in sys.modules


def test_only_the_scheme_that_is_asked_for_is_imported(brokers: Registry[Factory], install: Install) -> None:
    """One broken implementation harms nobody who doesn't use it."""
    install("bad", entries={"bad": "acme_bad:broker"}, acme_bad="import no_such_module")
    install("good", entries={"good": "acme_good:broker"}, acme_good="def broker(): return 'good'")

    assert brokers.resolve("good")() == "good"
    assert "acme_bad" not in sys.modules


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('needs a licence')", "ValueError: needs a licence"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("", "AttributeError: module 'acme_bad' has no attribute 'broker'"),
    ],
)
def test_a_factory_that_fails_to_import_is_named_with_its_source_and_cause(
    brokers: Registry[Factory], install: Install, source: str, cause: str
) -> None:
    install("acme", entries={"bad": "acme_bad:broker"}, version="2.1", acme_bad=source)

    with pytest.raises(PluginError) as caught:
        brokers.resolve("bad")

    assert str(caught.value) == f"broker 'bad' (acme_bad:broker, from acme 2.1) failed to load: {cause}"
    assert [str(error) for error in brokers.broken()] == [str(caught.value)]


def test_what_can_not_be_called_is_no_factory(brokers: Registry[Factory], install: Install) -> None:
    install("acme", entries={"bad": "acme_text:broker"}, acme_text="broker = 'text'")

    with pytest.raises(PluginError, match=r"'bad' \(acme_text:broker, from acme 1\.0\) is no factory: a str"):
        brokers.resolve("bad")


def test_two_distributions_that_claim_a_scheme_are_both_named(
    brokers: Registry[Factory], install: Install
) -> None:
    install("one", entries={"acme": "acme_one:broker"})
    install("two", entries={"acme": "acme_two:broker"})

    assert [row.distribution for row in brokers.installed()] == ["one", "two"]
    with pytest.raises(
        PluginError, match=r"more than one broker claims 'acme'.*from one.*from two.*uninstall"
    ):
        brokers.resolve("acme")


def test_an_unknown_scheme_names_what_is_installed_and_what_to_install(install: Install) -> None:
    install("core", entries={"memory": "core:memory", "sqlite": "core:sqlite"})
    brokers: Registry[Factory] = Registry("broker", GROUP, {"redis": "flowrra-redis"})

    with pytest.raises(UnknownSchemeError) as caught:
        brokers.resolve("redis")

    assert str(caught.value) == (
        "no broker for 'redis' URLs; installed: memory, sqlite. Try: pip install flowrra-redis"
    )


def test_an_unknown_scheme_without_a_known_distribution_suggests_none(brokers: Registry[Factory]) -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        brokers.resolve("amqp")

    assert str(caught.value) == "no broker for 'amqp' URLs; installed: none."


def test_a_registered_factory_serves_ahead_of_an_installed_one(
    brokers: Registry[Factory], install: Install
) -> None:
    install("acme", entries={"acme": "acme_broker:broker"}, acme_broker="def broker(): return 'installed'")

    brokers.register("acme", _registered)
    assert brokers.resolve("acme")() == "registered"
    assert brokers.installed() == [Installed("acme", f"{__name__}:_registered")]

    brokers.unregister("acme")
    assert brokers.resolve("acme")() == "installed"
    brokers.unregister("acme")


def _registered() -> str:
    return "registered"


def test_what_was_installed_meanwhile_is_found(
    brokers: Registry[Factory], install: Install, tmp_path: Path
) -> None:
    """As in a notebook: ask, read the advice, install, ask again."""
    install("acme", entries={})
    with pytest.raises(UnknownSchemeError):
        brokers.resolve("acme")

    entries = tmp_path / "acme" / "acme-1.0.dist-info" / "entry_points.txt"
    entries.write_text(f"[{GROUP}]\nacme = acme_late:broker")
    (tmp_path / "acme" / "acme_late.py").write_text("def broker(): return 'late'")

    assert brokers.resolve("acme")() == "late"


@pytest.mark.parametrize(
    ("registry", "scheme", "message"),
    [
        (discovery.brokers, "rediss", "no broker for 'rediss' URLs; .*pip install flowrra-redis$"),
        (discovery.brokers, "unix", "no broker for 'unix' URLs; .*pip install flowrra-redis$"),
        (discovery.backends, "sqlite", "no backend for 'sqlite' URLs; .*pip install flowrra-sqlite$"),
        (discovery.executors, "gpu", r"no executor of kind 'gpu'; installed: .*\.$"),
        (
            discovery.scheduler_stores,
            "postgres",
            "no scheduler store for 'postgres' URLs; .*pip install flowrra-scheduler-postgresql$",
        ),
        (discovery.scheduler_stores, "mysql", "pip install flowrra-scheduler-mysql$"),
        (discovery.scheduler_stores, "sqlite", "pip install flowrra-scheduler-sqlite$"),
        (discovery.ui, "flask", "no dashboard of kind 'flask'; .*pip install flowrra-ui-flask$"),
    ],
)
def test_first_party_distributions_are_suggested(
    registry: Registry[object], scheme: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is installed here: the search path is empty."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(registry, "_loaded", {})

    with pytest.raises(UnknownSchemeError, match=message):
        registry.resolve(scheme)
