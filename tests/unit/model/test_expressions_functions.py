"""What each function of the closed table does, and what it refuses."""

from __future__ import annotations

import re
from types import MappingProxyType

import pytest

from flowrunner.model.expressions import (
    FUNCTIONS,
    STATUS_FUNCTIONS,
    ExpressionError,
    parse_expression,
)
from flowrunner.model.expressions.values import MAX_RESULT
from flowrunner.model.ids import Json
from tests.fakes.scope import DictScope

DATA: dict[str, Json] = {
    "list": [1, "a", None, True, {"k": [1]}],
    "map": {"k": 1, "e": "\u00e9"},
    "map_in_list": {"k": [1.0]},
    "text": "Hello",
    "text_0": "{0}",
    "single": "a{b",
    "frozen": MappingProxyType({"k": (1, 2)}),
    "nan": float("nan"),
    "huge": 10**5000,
    "mib": "x" * MAX_RESULT,
    "wide": "\u00e9" * (MAX_RESULT // 2),
}

FORMAT = """
    contains starts_with ends_with format join split lower upper trim length default coalesce
    from_json to_json number string basename dirname sha256 date now add matches
    success failure always cancelled skipped
"""
"""The functions as FLOW_FORMAT 5 lists them."""


def _value(text: str, **more: Json) -> Json:
    return parse_expression(text).evaluate(DictScope({**DATA, **more}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("default(nothing, 'x')", "x", id="default-of-null"),
        pytest.param("default('', 'x')", "", id="default-of-empty"),
        pytest.param("default(false, 'x')", False, id="default-of-false"),
        pytest.param("default(nothing, null)", None, id="default-null"),
        pytest.param("contains('abc', 'bc')", True, id="contains-substring"),
        pytest.param("contains('abc', 'BC')", False, id="contains-case-counts"),
        pytest.param("contains('abc', '')", True, id="contains-empty"),
        pytest.param("contains(list, 'a')", True, id="contains-item"),
        pytest.param("contains(list, 1.0)", True, id="contains-equal-number"),
        pytest.param("contains(list, '1')", False, id="contains-without-coercion"),
        pytest.param("contains(list, 0)", False, id="contains-no-such-item"),
        pytest.param("contains(list, map_in_list)", True, id="contains-equal-map"),
        pytest.param("starts_with(text, 'He')", True, id="starts-with"),
        pytest.param("starts_with(text, 'he')", False, id="starts-with-case-counts"),
        pytest.param("starts_with(text, '')", True, id="starts-with-empty"),
        pytest.param("length('\U0001f600')", 1, id="length-in-code-points"),
        pytest.param("length(list)", 5, id="length-of-a-list"),
        pytest.param("length(map)", 2, id="length-of-a-map"),
        pytest.param("length('')", 0, id="length-of-nothing"),
        pytest.param("to_json(map)", '{"k":1,"e":"\u00e9"}', id="json-of-a-map"),
        pytest.param("to_json(list)", '[1,"a",null,true,{"k":[1]}]', id="json-of-a-list"),
        pytest.param("to_json('a\"b')", '"a\\"b"', id="json-of-a-string"),
        pytest.param("to_json(frozen)", '{"k":[1,2]}', id="json-of-read-only-values"),
        pytest.param("to_json(1.0)", "1.0", id="json-of-a-number"),
        pytest.param("from_json('[1, 2.5, null]')", [1, 2.5, None], id="list-from-json"),
        pytest.param("from_json('{\"a\": true}').a", True, id="map-from-json"),
        pytest.param("from_json('null')", None, id="null-from-json"),
        pytest.param("from_json(to_json(map))", DATA["map"], id="json-there-and-back"),
        pytest.param("format('plain')", "plain", id="format-without-arguments"),
        pytest.param("format('{1}-{0}-{1}', 'a', 'b')", "b-a-b", id="format-by-number"),
        pytest.param("format('{{{0}}}', 'a')", "{a}", id="format-escapes"),
        pytest.param("format('{0}', '{1}')", "{1}", id="format-once-only"),
        pytest.param(
            "format('{0}|{1}|{2}', true, 1.5, list)",
            'true|1.5|[1,"a",null,true,{"k":[1]}]',
            id="format-of-values",
        ),
        pytest.param("format('', 'unused')", "", id="format-of-nothing"),
    ],
)
def test_functions_give(text: str, value: Json) -> None:
    """Each function gives what its description says."""
    result = _value(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        pytest.param(
            "contains(1, 1)",
            "contains takes a string or a list here, not a number",
            9,
            id="contains-in-a-number",
        ),
        pytest.param(
            "contains(map, 'k')",
            "contains takes a string or a list here, not a map",
            9,
            id="contains-in-a-map",
        ),
        pytest.param(
            "contains('1', 1)",
            "contains takes a string here: what to look for in a string",
            14,
            id="contains-a-number-in-a-string",
        ),
        pytest.param(
            "starts_with(1, 'a')",
            "starts_with takes a string here, not a number",
            12,
            id="start-of-a-number",
        ),
        pytest.param(
            "starts_with('a', true)",
            "starts_with takes a string here, not a boolean",
            17,
            id="start-with-a-boolean",
        ),
        pytest.param(
            "length(5)",
            "length takes a string, a list or a map here, not a number",
            7,
            id="length-of-a-number",
        ),
        pytest.param(
            "from_json(list)",
            "from_json takes a string here, not a list",
            10,
            id="json-that-is-no-text",
        ),
        pytest.param("from_json('{')", "the string is not JSON", 10, id="broken-json"),
        pytest.param("from_json('NaN')", "the string is not JSON", 10, id="json-nan"),
        pytest.param("from_json('-Infinity')", "the string is not JSON", 10, id="json-infinity"),
        pytest.param("from_json('1e999')", "the string is not JSON", 10, id="json-overflow"),
        pytest.param("from_json('')", "the string is not JSON", 10, id="empty-json"),
        pytest.param("to_json(nan)", "the value cannot be written as JSON", 8, id="nan-to-json"),
        pytest.param("to_json(huge)", "the value cannot be written as JSON", 8, id="huge-to-json"),
        pytest.param(
            "format(1)", "format takes a string here, not a number", 7, id="format-of-a-number"
        ),
        pytest.param("format(text_0)", "format has too few arguments", 7, id="format-too-few"),
        pytest.param("format(single)", "format met a single {", 7, id="format-single-opening"),
    ],
)
def test_functions_refuse(text: str, problem: str, offset: int) -> None:
    """What does not fit is refused at the argument, by its kind and never by its value."""
    with pytest.raises(ExpressionError) as caught:
        _value(text)
    assert (caught.value.problem, caught.value.offset) == (problem, offset)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        pytest.param("contains(nothing, 'a')", 9, id="contains"),
        pytest.param("contains(list, null)", 15, id="contains-item"),
        pytest.param("starts_with(text, nothing)", 18, id="starts-with"),
        pytest.param("format('{0}', nothing)", 14, id="format"),
        pytest.param("to_json(nothing)", 8, id="to-json"),
        pytest.param("from_json(nothing)", 10, id="from-json"),
        pytest.param("length(nothing)", 7, id="length"),
    ],
)
def test_null_is_refused_but_by_default(text: str, offset: int) -> None:
    """A null argument is an error that names the way out."""
    with pytest.raises(ExpressionError, match="does not take null") as caught:
        _value(text)
    assert caught.value.offset == offset
    assert "default(value, fallback)" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("to_json(mib)", id="to-json"),
        pytest.param("to_json(wide)", id="to-json-counts-bytes"),
        pytest.param("format('{0}x', mib)", id="format"),
        pytest.param("format('{0}x', wide)", id="format-counts-bytes"),
        pytest.param("format('" + "{0}" * 1_300 + "', mib)", id="format-multiplied"),
    ],
)
def test_results_are_bounded(text: str) -> None:
    """A text above 1 MiB of UTF-8 is refused before it is built."""
    with pytest.raises(ExpressionError, match="larger than 1 MiB"):
        _value(text)


@pytest.mark.parametrize("name", ["mib", "wide"])
def test_a_result_of_exactly_the_bound_is_given(name: str) -> None:
    """1 MiB itself is allowed."""
    assert _value(f"format('{{0}}', {name})") == DATA[name]


def test_json_may_be_nested_to_the_bound() -> None:
    """100 levels are read, one more is refused, and no depth ends in anything else."""
    assert _value("from_json(t)[0][0]", t="[" * 100 + "1" + "]" * 100) is not None
    for depth in (101, 900, 100_000):
        with pytest.raises(ExpressionError) as caught:
            _value("from_json(t)", t="[" * depth + "]" * depth)
        assert caught.value.offset == 10


def test_deep_data_that_json_cannot_say_are_refused() -> None:
    """A value nested beyond what can be written is an error of the expression."""
    deep: Json = []
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(ExpressionError, match="cannot be written"):
        _value("to_json(deep)", deep=deep)


def test_the_table_is_the_flow_format() -> None:
    """Every function of the format is there, and no other."""
    assert FUNCTIONS.keys() == set(re.findall(r"\w+", FORMAT))
    assert FUNCTIONS.keys() >= STATUS_FUNCTIONS
