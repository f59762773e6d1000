"""Types of values: what fits, what a text means, what a value reads as."""

from __future__ import annotations

import json

import pytest

from flowrunner.errors import ValidationError
from flowrunner.model.depth import DATA_DEPTH
from flowrunner.model.flow import InputSpec, ValueSpec, ValueType
from flowrunner.model.formats import TextFormat
from flowrunner.model.ids import Json
from flowrunner.model.patterns import parse_pattern
from flowrunner.model.values import convert_text, fits, problem_with, text_of

SAMPLES: dict[str, tuple[Json, ...]] = {
    "string": ("", "x"),
    "integer": (0, -7, 10**30),
    "number": (0.5, 2.0, -1e300),
    "boolean": (True, False),
    "array": ([], [1, "x"]),
    "object": ({}, {"a": 1}),
}
NO_VALUE = (None, float("inf"), float("-inf"), float("nan"))


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("wanted", list(ValueType))
def test_value_fits_its_own_type_alone(kind: str, wanted: ValueType) -> None:
    """Types are disjoint, but for integers, which are numbers too."""
    expected = kind == wanted or (kind, wanted) == ("integer", "number")
    assert {fits(value, wanted) for value in SAMPLES[kind]} == {expected}


@pytest.mark.parametrize("wanted", list(ValueType))
def test_no_type_is_fit_by_null_or_by_no_number(wanted: ValueType) -> None:
    """Null is a value of no type, and what JSON cannot carry is no number."""
    assert {fits(value, wanted) for value in NO_VALUE} == {False}


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        pytest.param("42", "string", "42", id="string-is-itself"),
        pytest.param("", "string", "", id="empty-string"),
        pytest.param("42", "integer", 42, id="integer"),
        pytest.param("-2.5e3", "number", -2500.0, id="number"),
        pytest.param("true", "boolean", True, id="boolean"),
        pytest.param('["a"]', "array", ["a"], id="array"),
        pytest.param('{"a": null}', "object", {"a": None}, id="object"),
    ],
)
def test_text_means_a_value_of_the_type(text: str, wanted: str, expected: Json) -> None:
    """Every type but string is written as JSON."""
    assert convert_text(text, ValueType(wanted)) == expected


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("forty", "integer", id="word"),
        pytest.param("4.0", "integer", id="fraction"),
        pytest.param("true", "integer", id="boolean"),
        pytest.param("1", "boolean", id="one"),
        pytest.param("NaN", "number", id="not-a-number"),
        pytest.param("-Infinity", "number", id="infinity-by-name"),
        pytest.param("1e999", "number", id="infinity-by-size"),
        pytest.param('{"a": 1e999}', "object", id="infinity-inside"),
        pytest.param("null", "object", id="null"),
        pytest.param("", "array", id="nothing"),
        pytest.param("1" * 5_000, "integer", id="endless"),
    ],
)
def test_text_that_means_nothing_is_refused(text: str, wanted: str) -> None:
    """The error names the type and never quotes the text, which its details do, cut."""
    with pytest.raises(ValidationError) as caught:
        convert_text(text, ValueType(wanted))
    assert caught.value.code == "input.type"
    assert caught.value.message == f"must be of type {wanted}"
    assert caught.value.details == {"value": text[:80]}


@pytest.mark.parametrize(
    ("wanted", "begin", "end"), [("array", "[", "]"), ("object", '{"a":[', "]}")]
)
@pytest.mark.parametrize("depth", [100, 102, 970, 100_000])
def test_text_may_be_nested_100_deep(wanted: str, begin: str, end: str, depth: int) -> None:
    """Data that later could not be written again is refused where it is read."""
    times = depth if wanted == "array" else depth // 2
    text = begin * times + end * times
    if depth == DATA_DEPTH:
        assert convert_text(text, ValueType(wanted)) == json.loads(text)
        return
    with pytest.raises(ValidationError) as caught:
        convert_text(text, ValueType(wanted))
    assert caught.value.code == "input.type"
    assert caught.value.message == "is nested deeper than 100 levels"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("x\ny", "x\ny", id="text"),
        pytest.param(None, "", id="null"),
        pytest.param(True, "true", id="boolean"),
        pytest.param(1.10, "1.1", id="number"),
        pytest.param([1, {"ä": None}], '[1,{"ä":null}]', id="json"),
    ],
)
def test_value_reads_as_text(value: Json, expected: str) -> None:
    """Text is itself, null is nothing, the rest is compact JSON."""
    assert text_of(value) == expected


NUMBER = InputSpec(type=ValueType.NUMBER, minimum=0, maximum=1_000_000)
CHOICE = InputSpec(enum=("a", "b"))
WORD = InputSpec(pattern=parse_pattern("^[a-z]+$"))
DAY = InputSpec(format=TextFormat.DATE)
PORTS = InputSpec(
    type=ValueType.ARRAY, items=ValueSpec(type=ValueType.INTEGER, minimum=1, maximum=65_535)
)
DAYS = InputSpec(type=ValueType.ARRAY, items=DAY)
LIST = InputSpec(type=ValueType.ARRAY)


def nested(depth: int) -> Json:
    value: Json = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "spec", "problem"),
    [
        pytest.param(0, NUMBER, None, id="lower-bound"),
        pytest.param(1_000_000, NUMBER, None, id="upper-bound"),
        pytest.param(-0.5, NUMBER, "must be at least 0", id="below"),
        pytest.param(1_000_001, NUMBER, "must be at most 1000000", id="above"),
        pytest.param(float("inf"), NUMBER, "must be of type number", id="infinite"),
        pytest.param("1", NUMBER, "must be of type number", id="text"),
        pytest.param("a", CHOICE, None, id="choice"),
        pytest.param("c", CHOICE, "must be one of a, b", id="no-choice"),
        pytest.param("abc", WORD, None, id="pattern"),
        pytest.param("ab1", WORD, "must match ^[a-z]+$", id="no-pattern"),
        pytest.param("x-b-y", InputSpec(pattern=parse_pattern("b")), None, id="anywhere"),
        pytest.param("2026-02-28", DAY, None, id="format"),
        pytest.param(
            "2026-02-29", DAY, "must be of format date, such as 2026-03-30", id="no-format"
        ),
        pytest.param([], PORTS, None, id="no-items"),
        pytest.param([1, 65_535], PORTS, None, id="items"),
        pytest.param([1, 0, "2"], PORTS, "at index 1 must be at least 1", id="item-below"),
        pytest.param(["1"], PORTS, "at index 0 must be of type integer", id="item-type"),
        pytest.param(
            ["today"],
            DAYS,
            "at index 0 must be of format date, such as 2026-03-30",
            id="item-format",
        ),
        pytest.param(nested(100), LIST, None, id="deep"),
        pytest.param(nested(101), LIST, "is nested deeper than 100 levels", id="too-deep"),
    ],
)
def test_problem_with_an_input_is_one_sentence(
    value: Json, spec: InputSpec, problem: str | None
) -> None:
    """Type first, then the choices, bounds, format and pattern; the value is not quoted."""
    assert problem_with(value, spec) == problem
