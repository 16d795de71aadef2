"""What the built wheels contain."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def contents(wheels: Path) -> dict[str, list[str]]:
    """The files of each wheel, by the name of its distribution."""
    return {wheel.name.split("-")[0]: zipfile.ZipFile(wheel).namelist() for wheel in wheels.glob("*.whl")}


def test_no_two_wheels_ship_the_same_file(contents: dict[str, list[str]]) -> None:
    """Uninstalling one distribution never breaks another."""
    owners = defaultdict[str, list[str]](list)
    for distribution, names in contents.items():
        for name in names:
            owners[name].append(distribution)

    assert {name: several for name, several in owners.items() if len(several) > 1} == {}


def test_only_core_ships_the_namespace_header(contents: dict[str, list[str]]) -> None:
    assert [name for name, files in contents.items() if "flowrra/__init__.py" in files] == ["flowrra_core"]


def test_the_metapackage_ships_no_module(contents: dict[str, list[str]]) -> None:
    assert [name for name in contents["flowrra"] if ".dist-info/" not in name] == []


def test_wheels_hold_nothing_but_the_package(contents: dict[str, list[str]]) -> None:
    strangers = [
        name
        for files in contents.values()
        for name in files
        if not name.startswith("flowrra/") and ".dist-info/" not in name
    ]

    assert strangers == []


def test_every_wheel_carries_the_licence(contents: dict[str, list[str]]) -> None:
    unlicensed = [name for name, files in contents.items() if not any("licenses/LICENSE" in f for f in files)]

    assert unlicensed == []


def test_every_wheel_with_modules_is_typed(contents: dict[str, list[str]]) -> None:
    untyped = [
        name
        for name, files in contents.items()
        if any(file.endswith(".py") for file in files)
        and not any(file.endswith("/py.typed") for file in files)
    ]

    assert untyped == []
