"""The demonstration's application and its tasks. Worker processes import this module too."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict

from flowrra import BackendConfig, BrokerConfig, Config, ExecutorConfig, Flowrra, current_task

#: Lower than any other priority here: it overtakes.
URGENT: Final = -100

READING: Final = "reading"
PARSING: Final = "parsing"
ASKING: Final = "asking"

app: Flowrra = Flowrra(
    Config(
        # However many files there are, 2,000 tasks wait at most; who submits more waits for room.
        broker=BrokerConfig(url="memory://", max_queue_size=2_000, submit_timeout=600),
        backend=BackendConfig(url="memory://", history_limit=100_000),
        executor=ExecutorConfig(num_workers=8, max_retries=1, retry_delay=0.1),
    )
)

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")


class FileFacts(TypedDict):
    """What reading a file tells."""

    size: int
    lines: int
    digest: str


class SourceFacts(TypedDict):
    """What parsing a file tells; ``problem`` says why it is no Python of this version."""

    definitions: int
    depth: int
    problem: str | None


@app.task(queue=READING)
async def read(path: str) -> FileFacts:
    """Read and hash one file, on the event loop; the disk keeps only a thread waiting."""
    return await asyncio.to_thread(_read, path)


def _read(path: str) -> FileFacts:
    data = Path(path).read_bytes()
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    return {"size": len(data), "lines": lines, "digest": hashlib.sha256(data).hexdigest()}


@app.task(cpu_bound=True, queue=PARSING)
def parse(path: str) -> SourceFacts:
    """Parse one file in a worker process; count its definitions and its deepest nesting."""
    try:
        tree = _tree(path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        problem = error.msg if isinstance(error, SyntaxError) else str(error)
        return {"definitions": 0, "depth": 0, "problem": problem or type(error).__name__}
    definitions, depth = _measure(tree)
    return {"definitions": definitions, "depth": depth, "problem": None}


@app.task(cpu_bound=True, queue=PARSING, priority=URGENT)
def look_up(path: str) -> list[str]:
    """The names that a file defines at its top. Somebody waits for it: it is urgent."""
    return [node.name for node in _tree(path).body if isinstance(node, _DEFINITIONS)]


@app.task(queue=ASKING, max_retries=3, retry_delay=0.25)
def ask(name: str, failures: int) -> str:
    """Ask an unreliable service, in a thread: the first *failures* attempts fail."""
    if current_task().attempt <= failures:
        raise ConnectionError(f"no answer about {name}")
    return name


def _tree(path: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in test data are not this program's affair
        return ast.parse(Path(path).read_bytes(), path)


def _measure(tree: ast.Module) -> tuple[int, int]:
    """How many functions and classes there are, and how many levels of blocks are inside one another."""
    definitions = deepest = 0
    pending: list[tuple[ast.AST, int]] = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        definitions += isinstance(node, _DEFINITIONS)
        deepest = max(deepest, depth)
        pending.extend((inner, depth + _deepens(node)) for inner in _inside(node))
    return definitions, deepest


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    for block in _BLOCKS:
        inner = getattr(node, block, None)
        if isinstance(inner, list):
            yield from inner


def _deepens(node: ast.AST) -> int:
    """What is inside a module is on its level, and so is what is inside ``except`` and ``case``."""
    return not isinstance(node, ast.Module | ast.ExceptHandler | ast.match_case)
