"""Imports point downwards only, across every distribution."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from source_tree import FILES, Import, imports, place, top_level

#: Lowest first. A module may import the layers before its own; an entry also stands for what is below it
#: (``flowrra.memory`` for ``flowrra.memory.broker``), and the longest entry that fits decides.
LAYERS: tuple[tuple[str, ...], ...] = (
    # Facts and pure functions.
    (
        "flowrra.clock",
        "flowrra.codecs",
        "flowrra.exceptions",
        "flowrra.executors.stopping",
        "flowrra.fork",
        "flowrra.known_dataclasses",
        "flowrra.retry",
        "flowrra.schedule",
        "flowrra.status",
        "flowrra.version",
    ),
    (
        "flowrra.message",
        "flowrra.options",
        "flowrra.packing",
        "flowrra.result",
        "flowrra.unpacking",
        "flowrra.url",
    ),
    # What is configured, what is called, and the contracts.
    ("flowrra.reports", "flowrra.settings"),
    ("flowrra.config", "flowrra.serialization"),
    ("flowrra.call", "flowrra.executors.remote", "flowrra.protocols", "flowrra.task"),
    # What is there, and who wants to know.
    ("flowrra.discovery", "flowrra.hookspecs", "flowrra.registry", "flowrra.state"),
    ("flowrra.plugins", "flowrra.reading", "flowrra.registration", "flowrra.submission"),
    # What moves and runs tasks; each knows the others by their contracts only.
    ("flowrra.executors", "flowrra.memory", "flowrra.worker"),
    # What wires them, and what users import.
    ("flowrra.connections", "flowrra.home", "flowrra.observing", "flowrra.sync"),
    ("flowrra.workshop",),
    ("flowrra.engine",),
    ("flowrra.app",),
    ("flowrra.management",),
    ("flowrra._public",),
    ("flowrra",),
    # What only uses it.
    ("flowrra.__main__", "flowrra.cli", "flowrra.redis", "flowrra.testing"),
)
RANKS = {entry: rank for rank, layer in enumerate(LAYERS) for entry in layer}


def entry_of(module: str) -> str:
    """The entry of ``LAYERS`` that decides for *module*. ``flowrra`` stands for itself alone."""
    entry = module
    while entry not in RANKS or (entry == "flowrra" and module != "flowrra"):
        assert "." in entry, f"{module} is in no layer: add it to LAYERS in {place(Path(__file__))}"
        entry = entry.rpartition(".")[0]
    return entry


@pytest.mark.parametrize(("module", "file"), FILES, ids=[place(file) for _, file in FILES])
def test_imports_point_downwards(module: str, file: Path) -> None:
    home = entry_of(module)
    for each in imports(module, file):
        if top_level(each.target) == "flowrra":
            there = entry_of(each.target)
            assert there == home or RANKS[there] < RANKS[home], _complaint(module, file, each)


def test_nothing_is_imported_in_a_circle() -> None:
    """Imports inside functions don't count: they run when both modules are complete."""
    graph: dict[str, set[str]] = {}
    for module, file in FILES:
        targets = {each.target for each in imports(module, file) if each.at_start}
        graph.setdefault(module, set()).update(targets - {module})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(reversed(error.args[1]))}")


def test_core_never_imports_its_public_face() -> None:
    """``from flowrra import y`` inside the core would tie every module to all others."""
    for module, file in FILES:
        if RANKS[entry_of(module)] < RANKS["flowrra._public"]:
            for each in imports(module, file):
                assert each.target not in {"flowrra", "flowrra._public"}, _complaint(module, file, each)


def _complaint(module: str, file: Path, each: Import) -> str:
    return (
        f"{place(file, each.line)}: {module} may not import {each.target}, which is not in a lower layer; "
        f"move what both need down, pass it in, or name it under TYPE_CHECKING if it is for annotations only"
    )
