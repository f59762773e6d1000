"""Each test says in one sentence what it promises."""

from __future__ import annotations

import ast

from tests.architecture.checkout import functions, place, python_files


def test_every_test_states_its_promise() -> None:
    """Every test function below tests/ has a docstring."""
    silent = [
        f"{place(path, function.lineno)} {function.name}"
        for path in python_files("tests", "test_*.py")
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]

    assert not silent, "tests without a sentence:\n" + "\n".join(silent)
