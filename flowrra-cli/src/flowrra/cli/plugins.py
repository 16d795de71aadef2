"""``flowrra plugins``: what is installed, what it serves, and what failed to load and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flowrra.cli.output import output_option

if TYPE_CHECKING:
    from rich.console import Console

    from flowrra.discovery import Installed
    from flowrra.plugins import Plugins


@click.command()
@output_option
def plugins() -> int:
    """Show what is installed, what it serves, and what failed to load and why.

    The exit code is 1 if something failed to load.
    """
    from flowrra.cli.output import show

    inventory = take_inventory()
    show(inventory, lambda console: _print(console, inventory))
    return 1 if inventory["failed"] else 0


def take_inventory() -> dict[str, Any]:
    """Everything that is installed, as JSON shows it. Imports all of it, to find what is broken."""
    from flowrra import discovery

    registries = (
        discovery.brokers, discovery.backends, discovery.executors, discovery.scheduler_stores, discovery.ui,
    )  # fmt: skip
    serving = [
        {"kind": registry.kind, **_row(installed)}
        for registry in registries
        for installed in registry.installed()
    ]
    failed = [str(error) for registry in registries for error in registry.broken()]
    loaded, hook_errors = _load()
    if loaded is not None:
        failed += [str(failure.error) for failure in loaded.failures]
    return {
        "distributions": _distributions(),
        "serving": serving,
        "hooks": []
        if loaded is None
        else [{**_row(p.source), "hooks": list(p.hooks)} for p in loaded.loaded],
        "disabled": [] if loaded is None else [_row(each) for each in loaded.disabled],
        "failed": failed + hook_errors,
    }


def _load() -> tuple[Plugins | None, list[str]]:
    """The plugins with hooks, or why one of them stops every application."""
    import logging

    from flowrra.exceptions import PluginError
    from flowrra.plugins import Plugins

    logging.getLogger("flowrra.plugins").setLevel(logging.ERROR)  # failures are shown in the list
    try:
        return Plugins.installed(), []
    except PluginError as error:
        return None, [f"{error}; no application starts until it is mended or in FLOWRRA_DISABLE_PLUGINS"]


def _row(installed: Installed) -> dict[str, Any]:
    return {
        "name": installed.name,
        "value": installed.value,
        "distribution": installed.distribution,
        "version": installed.version,
    }


def _distributions() -> list[dict[str, str]]:
    """Flowrra's own distributions and all that declare entry points for it."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for each in distributions():
        name = each.name
        groups = (point.group for point in each.entry_points)
        if name.startswith("flowrra") or any(group.startswith("flowrra.") for group in groups):
            found.setdefault(name, each.version)
    return [{"name": name, "version": version} for name, version in sorted(found.items())]


def _print(console: Console, inventory: dict[str, Any]) -> None:
    from flowrra.cli.output import table

    rows = [(each["name"], each["version"]) for each in inventory["distributions"]]
    console.print(table(["installed", "version"], rows))
    names = [
        (each["kind"], _scheme(each), each["value"], each["distribution"] or "this process")
        for each in inventory["serving"]
    ]
    console.print()
    console.print(table(["serves", "name", "from", "installed by"], names))
    hooks = [
        (each["name"], ", ".join(each["hooks"]) or "none", each["distribution"])
        for each in inventory["hooks"]
    ]
    if hooks:
        console.print()
        console.print(table(["plugin", "hooks", "installed by"], hooks))
    else:
        console.print("\nno plugin implements a hook", markup=False)
    for each in inventory["disabled"]:
        console.print(
            f"disabled by FLOWRRA_DISABLE_PLUGINS: {each['name']} ({each['distribution']})", markup=False
        )
    for error in inventory["failed"]:
        console.print("failed:", style="red", end=" ")
        console.print(error, markup=False)


def _scheme(row: dict[str, Any]) -> str:
    of_kind = row["kind"] in ("executor", "dashboard")
    return str(row["name"]) if of_kind else f"{row['name']}://"
