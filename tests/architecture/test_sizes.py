"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast

from source_tree import FILES, parse, place

FILE_LINES = 300
#: All contracts stand in one file, most of whose lines are what they promise.
CONTRACTS = "flowrra-core/src/flowrra/protocols.py"
FUNCTION_LINES = 45


def test_files_are_short() -> None:
    long = {
        place(file): lines
        for _, file in FILES
        if (lines := len(file.read_text("utf-8").splitlines())) > FILE_LINES and place(file) != CONTRACTS
    }

    assert not long, f"files over {FILE_LINES} lines; cut them where two concepts meet: {long}"


def test_functions_are_short() -> None:
    """A docstring doesn't count: it is read before the function, not with it."""
    long = {
        f"{place(file, node.lineno)} {node.name}": _lines(node)
        for _, file in FILES
        for node in ast.walk(parse(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > FUNCTION_LINES
    }

    assert not long, f"functions over {FUNCTION_LINES} lines: {long}"


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    last = function.end_lineno or function.lineno
    documented = ast.get_docstring(function) is not None and len(function.body) > 1
    return last - (function.body[1] if documented else function).lineno + 1
