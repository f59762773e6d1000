"""Modules and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast

from tests.architecture.checkout import FunctionNode, functions, place, python_files

MODULE_LINES = 400
FUNCTION_LINES = 60


def test_no_module_is_longer_than_400_lines() -> None:
    """No module of the package has more than 400 lines."""
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files("flowrunner")
    }

    too_long = [f"{place(path, n)}" for path, n in lengths.items() if n > MODULE_LINES]
    assert not too_long, "modules to split:\n" + "\n".join(too_long)


def test_no_function_is_longer_than_60_lines() -> None:
    """No function of the package has more than 60 lines, its docstring not counted."""
    too_long = [
        f"{place(path, function.lineno)} {function.name}: {_length(function)} lines"
        for path in python_files("flowrunner")
        for function in functions(path)
        if _length(function) > FUNCTION_LINES
    ]

    assert not too_long, "functions to split:\n" + "\n".join(too_long)


def _length(function: FunctionNode) -> int:
    lines = _span(function)
    if ast.get_docstring(function) is not None:
        lines -= _span(function.body[0])
    return lines


def _span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
