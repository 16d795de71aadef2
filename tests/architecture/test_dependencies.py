"""A distribution imports the standard library and what its ``pyproject.toml`` names, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from source_tree import DISTRIBUTIONS, Distribution, imports, is_third_party, place, top_level

#: Modules that may import an extra's packages as they start: they are of no use without it.
NEEDS_EXTRA = {"flowrra.testing": "testing"}

#: Distributions that are imported under another name.
IMPORTED_AS: dict[str, str] = {}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)
def test_imports_are_declared(distribution: Distribution) -> None:
    """What comes with an extra is imported later, inside functions, except where the extra is a must."""
    needed = _packages(distribution.project["dependencies"])
    extras = {
        name: _packages(requirements)
        for name, requirements in distribution.project.get("optional-dependencies", {}).items()
    }
    declared = needed.union(*extras.values())
    for name, file in distribution.files():
        at_start = needed | extras.get(_extra_of(name), set())
        for each in imports(name, file):
            if is_third_party(each.target):
                assert top_level(each.target) in (at_start if each.at_start else declared), (
                    f"{place(file, each.line)} imports {each.target}: "
                    f"declare it in {distribution.name}'s dependencies, or import it inside a function"
                )


def test_core_needs_pluggy_alone() -> None:
    core = next(distribution for distribution in DISTRIBUTIONS if distribution.name == "flowrra-core")

    assert _packages(core.project["dependencies"]) == {"pluggy"}


def test_every_distribution_has_the_same_version() -> None:
    """One version for all: first-party distributions are released together."""
    assert len({distribution.project["version"] for distribution in DISTRIBUTIONS}) == 1


def _packages(requirements: Iterable[str]) -> set[str]:
    names = (re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements)
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def _extra_of(module: str) -> str:
    return next((extra for entry, extra in NEEDS_EXTRA.items() if f"{module}.".startswith(f"{entry}.")), "")
