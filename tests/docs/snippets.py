"""Finds the Python programs in a page of Markdown, and runs them.

A block that begins with an import and awaits nothing by itself is a program of its own; any other continues
the one before it, and may await: it runs inside ``async with app:``. A ``text`` block that follows a program
is what it prints. A block whose first line is a file's name, as in ``# name.py``, is kept under that name for
the other programs of the page; pytest runs those that define tests.

``redis://localhost:6379`` leads to a server of the tests' own. A ``bash`` block that begins with ``flowrra
worker`` and an application that the page shows is started before the page's programs and ended after them.

A block is left out only if its fence says ``python no-run`` and the line above it tells why:
``<!-- no-run: reason -->``.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r"^(?P<fill> *)```(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=fill)```$", re.MULTILINE | re.DOTALL
)
_NAME = re.compile(r"# ([\w.-]+\.\w+)\n")
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "asyncio_mode=auto")
_REDIS = "redis://localhost:6379"
_WORKER = re.compile(r"flowrra worker (?P<module>\w+):.*")
_REASON = re.compile(r"<!-- no-run: .+ -->\n\s*\Z")


class Block(NamedTuple):
    """One fenced block: what its fence says, its text, and where it stands."""

    info: str
    code: str
    line: int
    reasoned: bool = False

    @property
    def is_run(self) -> bool:
        """Whether it is Python to be run."""
        return self.info == "python"

    @property
    def file(self) -> str | None:
        """The name under which it is kept."""
        match = _NAME.match(self.code)
        return match[1] if match else None


@dataclass
class Program:
    """Blocks that belong together, and what they print."""

    blocks: list[Block] = field(default_factory=list[Block])
    prints: str | None = None

    @property
    def line(self) -> int:
        """The line of the page on which it begins."""
        return self.blocks[0].line

    def source(self) -> str:
        """The text to run; from the first block that awaits on, inside ``async with app:``."""
        codes = [block.code for block in self.blocks]
        first = next((number for number, code in enumerate(codes) if _awaits(code)), len(codes))
        plain, awaiting = "\n".join(codes[:first]), "\n".join(codes[first:])
        if not awaiting:
            return plain
        body = indent(awaiting, " " * 8)
        return (
            f"{plain}\n\nasync def _page():\n    async with app:\n{body}\n\nimport asyncio\n\n"
            "if __name__ == '__main__':\n    asyncio.run(_page())\n"
        )


def pages() -> list[Path]:
    """Every page whose Python is run."""
    readmes = [ROOT / name / "README.md" for name in ("", "flowrra-core", "flowrra-cli", "flowrra-redis")]
    return [*readmes, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        fill = len(match["fill"])
        code = "".join(line[fill:] for line in match["code"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start()) + 2
        yield Block(match["info"].strip(), code, line, bool(_REASON.search(text[: match.start()])))


def programs(page: Path) -> Iterator[Program]:
    """The programs of a page, and as programs without a text the files that other blocks are."""
    current: Program | None = None
    for block in blocks(page):
        if block.is_run and (current is None or _begins(block.code)):
            if current:
                yield current
            current = Program()
        if block.is_run and current:
            current.blocks.append(block)
        elif block.info == "text" and current and current.prints is None:
            current.prints = block.code
    if current:
        yield current


def run(page: Path, folder: Path, redis: str) -> None:
    """Run every program of a page in *folder*, with Redis at *redis*; an AssertionError tells which one
    failed, and how."""
    for block in blocks(page):
        if block.file and block.info in ("python", "toml"):
            _write(folder / block.file, block.code, redis)
    with _workers(page, folder):
        _run_programs(page, folder, redis)


def _run_programs(page: Path, folder: Path, redis: str) -> None:
    tests: list[str] = []
    for program in programs(page):
        source = program.source()
        name = program.blocks[0].file or f"line_{program.line}.py"
        _write(folder / name, source, redis)
        if re.search(r"^(async def test_|def test_|class Test)", source, re.MULTILINE):
            tests.append(name)
            continue
        told, printed = _call(folder, "-W", "error", name)
        where = f"{page.relative_to(ROOT)}, line {program.line}"
        assert told == "", f"{where} fails:\n{told}"
        assert program.prints in (None, printed), f"{where} prints:\n{printed}"
    if tests:
        told, _ = _call(folder, *_PYTEST, *tests)
        assert told == "", f"the tests of {page.relative_to(ROOT)} fail:\n{told}"


def _write(file: Path, text: str, redis: str) -> None:
    file.write_text(text.replace(_REDIS, redis), encoding="utf-8")


@contextmanager
def _workers(page: Path, folder: Path) -> Iterator[None]:
    """The workers of a page at work. They drain in the end, and none may fail."""
    matches = [_WORKER.match(block.code) for block in blocks(page) if block.info == "bash"]
    commands = [match[0] for match in matches if match and (folder / f"{match['module']}.py").exists()]
    with (folder / "workers.log").open("w+") as log:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", *shlex.split(command, comments=True)],
                cwd=folder, env=_environ(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )
            for command in commands
        ]  # fmt: skip
        try:
            yield
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            codes = [_code(worker) for worker in workers]
        log.seek(0)
        assert not any(codes), f"a worker of {page.relative_to(ROOT)} fails:\n{log.read()}"


def _code(worker: subprocess.Popen[bytes]) -> int:
    """The exit code of a worker that was told to end; it is killed if it doesn't."""
    try:
        return worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.kill()
        return worker.wait()


def _environ() -> dict[str, str]:
    """The environment without settings of this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FLOWRRA_", "PYTEST_"))}


def _call(folder: Path, *arguments: str) -> tuple[str, str]:
    """Call Python: what it told if it failed, and what it printed."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=_environ(),
        text=True,
        capture_output=True,
        timeout=50,
        check=False,
    )
    return f"{ended.stdout}\n{ended.stderr}" if ended.returncode else "", ended.stdout


def _begins(code: str) -> bool:
    """Whether a block is a program's first: it begins with an import, and awaits nothing by itself."""
    return not _awaits(code) and isinstance(ast.parse(code).body[0], ast.Import | ast.ImportFrom)


def _awaits(code: str) -> bool:
    """Whether a block can only run inside a coroutine."""
    try:
        compile(code, "block", "exec")
    except SyntaxError:
        compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return True
    return False
