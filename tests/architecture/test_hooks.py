"""Every hook is described with its exact arguments, and fired by a test."""

from __future__ import annotations

import re

import pytest

from flowrra.hookspecs import HOOKS
from source_tree import REPO, place

DESCRIPTION = REPO / "docs" / "reference" / "hooks.md"
TESTS = REPO / "tests" / "core" / "test_hooks.py"


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_each_hook_is_described_with_its_arguments(hook: str) -> None:
    signature = f"{hook}({', '.join(HOOKS[hook])})"

    assert signature in DESCRIPTION.read_text("utf-8"), f"{place(DESCRIPTION)} has no {signature}"


@pytest.mark.parametrize("hook", sorted(HOOKS))
def test_each_hook_is_fired_by_a_test(hook: str) -> None:
    assert re.search(rf"\b{hook}\b", TESTS.read_text("utf-8")), f"{place(TESTS)} has no test of {hook}"


def test_no_hook_is_described_that_does_not_exist() -> None:
    described = set(re.findall(r"\b(flowrra_\w+)\(", DESCRIPTION.read_text("utf-8")))

    assert described <= set(HOOKS)
