"""Every example of docs/expressions.md gives what the page says."""

from __future__ import annotations

import json
import re

import pytest

from flowrunner.model.expressions import FUNCTIONS, STATUS_FUNCTIONS, calls, parse_expression
from flowrunner.model.expressions.function_times import DIRECTIVES
from tests.fakes.scope import DictScope
from tests.unit.docs.pages import code_spans, read, rows, section

PAGE = read("docs/expressions.md")
FUNCTION_TABLES = ("### Values", "### Texts", "### Instants")


def _examples() -> dict[str, str]:
    """Returns expressions and their values as JSON, as the tables have them."""
    cells = [row[2:4] for heading in FUNCTION_TABLES for row in rows(section(PAGE, heading))]
    cells += rows(section(PAGE, "## Examples"))
    return {_code(expression): _code(value) for expression, value in cells}


def _code(cell: str) -> str:
    """Returns what stands in a cell that is one piece of code."""
    assert cell[0] == cell[-1] == "`"
    return cell[1:-1].replace("\\|", "|")


EXAMPLES = _examples()


@pytest.mark.parametrize("expression", EXAMPLES)
def test_example_gives_the_value_beside_it(expression: str) -> None:
    """What stands in the tables is evaluated over the contexts of the page."""
    (data,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    value = parse_expression(expression).evaluate(DictScope(json.loads(data)))
    assert value == json.loads(EXAMPLES[expression])
    assert type(value) is type(json.loads(EXAMPLES[expression]))


def test_every_function_has_an_example() -> None:
    """No function that can be evaluated alone goes without."""
    shown = {name for text in EXAMPLES for name, _ in calls(parse_expression(text))}
    assert shown == FUNCTIONS.keys() - STATUS_FUNCTIONS


def test_every_directive_is_named() -> None:
    """The page lists the directives of `date`, and no others."""
    (listed,) = [text for text in code_spans(section(PAGE, "### Instants")) if "%% " in f"{text} "]
    assert sorted(listed.split()) == sorted(f"%{sign}" for sign in DIRECTIVES)
