"""The documentation is complete where completeness can be told: names, errors, settings, links."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from snippets import ROOT, pages

from flowrra import _public
from flowrra.config import SECTIONS

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def _text(path: str) -> str:
    return (ROOT / "docs" / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted({*_public.__all__, *_public._ON_DEMAND} - {"__getattr__"}))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    page = "reference/errors.md" if name.endswith("Error") else "reference/api.md"
    assert f"`{name}" in _text(page)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented_with_its_default(section: str) -> None:
    """Field, variable and default stand in one row."""
    page = _text("how-to/configure.md")
    for each in fields(SECTIONS[section]):
        variable = f"FLOWRRA_{section.upper()}_{each.name.upper()}"
        row = next((line for line in page.splitlines() if f"`{variable}`" in line), "")
        default = "required" if each.default is MISSING else f"`{each.default!r}`"
        assert f"`{each.name}`" in row, variable
        assert default in row, variable


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_broken(page: Path) -> None:
    broken = []
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def test_every_page_can_be_reached() -> None:
    """The entry page links every other one."""
    index = ROOT / "docs/index.md"
    linked = {
        (index.parent / target).resolve() for target, _ in _LINK.findall(index.read_text(encoding="utf-8"))
    }
    assert {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - linked - {index} == set()


def _anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}
