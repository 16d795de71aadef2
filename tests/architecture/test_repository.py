"""What the repository holds can be read and built anywhere."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from source_tree import REPO, place

#: Hosts of package registries and of what they serve, in parts, so that this file doesn't hold them.
REGISTRIES = ["pypi.org/" + "simple", "files.python" + "hosted.org", "registry.npm" + "js.org"]
ADDRESS_OPTION = re.compile(r"--(?:extra-)?index-url|--find-links[ =]https?:")


def _files() -> list[Path]:
    """What is, or without an ignore rule would be, part of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    paths = (REPO / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text file's content, by its place."""
    found: dict[str, str] = {}
    for path in _files():
        try:
            found[place(path)] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return found


def test_no_lock_file_with_addresses_is_kept(texts: dict[str, str]) -> None:
    assert [name for name in texts if Path(name).name in {"uv.lock", "package-lock.json"}] == []


def test_no_file_names_a_registry(texts: dict[str, str]) -> None:
    """Everybody's own set-up says where packages come from."""
    found = [name for name, text in texts.items() if any(host in text for host in REGISTRIES)]

    assert found == []
    assert [name for name, text in texts.items() if ADDRESS_OPTION.search(text)] == []


def test_no_file_names_a_folder_of_this_machine(texts: dict[str, str]) -> None:
    """The checkout's folder, the one it is in, and the home folder."""
    folders = [REPO, Path.home()]
    if Path(tempfile.gettempdir()) not in {REPO.parent, *REPO.parent.parents} and REPO.parent != Path("/"):
        folders.append(REPO.parent)
    pattern = re.compile("|".join(rf"(?<![\w.]){re.escape(str(folder))}/" for folder in folders))

    assert {name: match[0] for name, text in texts.items() if (match := pattern.search(text))} == {}


def test_requirements_are_pinned_by_hash(texts: dict[str, str]) -> None:
    """``pip install --require-hashes`` takes them, whatever the platform."""
    for name, text in texts.items():
        if re.search(r"requirements/[^/]*\.txt$", name):
            pins = re.findall(r"^[\w.-]+(?:\[.*?\])?==\S+.*$", text, re.MULTILINE)
            assert pins
            assert all(pin.endswith("\\") for pin in pins), f"{name} has a pin without a hash"
