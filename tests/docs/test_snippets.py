"""What the documentation shows works: every Python block of it is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import ROOT, blocks, pages, run


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_runs(page: Path, tmp_path: Path, redis_url: str) -> None:
    """And prints what the page says that it prints."""
    run(page, tmp_path, redis_url)


def test_what_is_not_run_says_why() -> None:
    """A block that can't run here is rare, and the line above it tells the reason."""
    left_out = [block for page in pages() for block in blocks(page) if block.info.startswith("python ")]
    assert [block for block in left_out if block.info != "python no-run" or not block.reasoned] == []
    assert len(left_out) <= 3
