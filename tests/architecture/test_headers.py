"""Every source tree opens with the same namespace header."""

from __future__ import annotations

import pytest

from source_tree import DISTRIBUTIONS, REPO, Distribution, place

#: Packages that several distributions fill, and the one whose wheel ships their ``__init__.py``.
SHARED = {"flowrra": "flowrra-core"}


@pytest.mark.parametrize(("package", "owner"), SHARED.items())
def test_the_copies_of_a_header_are_identical(package: str, owner: str) -> None:
    """A copy that drifts would change what the import means with the order of sys.path."""
    original = REPO / owner / "src" / package / "__init__.py"
    copies = [
        folder / "__init__.py"
        for distribution in DISTRIBUTIONS
        if (folder := distribution.folder / "src" / package).is_dir()
    ]

    assert original in copies
    assert len(copies) == len(DISTRIBUTIONS)
    for copy in copies:
        assert copy.is_file(), f"{place(copy)} is missing: copy {place(original)}"
        assert copy.read_text() == original.read_text(), f"{place(copy)} differs from {place(original)}"


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda distribution: distribution.name)
def test_each_distribution_is_typed(distribution: Distribution) -> None:
    """Type checkers read annotations only beside a ``py.typed``."""
    assert list((distribution.folder / "src").rglob("py.typed"))
