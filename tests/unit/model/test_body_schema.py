"""Promises of `flowrunner.model.body_schema`: JSON Schema's own verdict, in bounded words.

The oracle is `jsonschema`, which the schemas of flows are checked with as well.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowrunner.definitions.body_keywords import build_body_schema
from flowrunner.model.body_schema import BODY_TYPES, MOST_MISFITS, misfits_of
from flowrunner.model.ids import Json
from tests.profile import examples

NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 1.5, 1e300]),
    st.text("ab1", max_size=3),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
SMALL = st.integers(0, 3)


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    types = st.sampled_from(BODY_TYPES)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "minimum": st.sampled_from([-1, 0, 1.5]),
            "maximum": st.sampled_from([0, 1.0, 2]),
            "minLength": SMALL,
            "maxLength": SMALL,
            "pattern": st.sampled_from(["a", "^[ab]+$", "^$", "1$"]),
            "items": inner,
            "minItems": SMALL,
            "maxItems": SMALL,
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": st.booleans(),
        },
    )


EMPTY: dict[str, Any] = {}
SCHEMAS = st.recursive(st.just(EMPTY), schemas, max_leaves=4)


@settings(max_examples=examples(200))
@given(schema=SCHEMAS, value=VALUES)
@example(schema={"enum": [1]}, value=True)
@example(schema={"enum": [[0]]}, value=[False])
@example(schema={"enum": [1]}, value=1.0)
@example(schema={"type": "integer"}, value=1.0)
@example(schema={"type": "number", "minimum": 0}, value=True)
def test_verdict_is_that_of_json_schema(schema: dict[str, Any], value: Json) -> None:
    """A value fits when JSON Schema says so, for every keyword of the subset."""
    expected = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (not misfits_of(value, build_body_schema(schema))) is expected


@pytest.mark.parametrize(
    ("schema", "value", "pointer", "message"),
    [
        ({"type": "object"}, [], "", "must be of type object"),
        ({"type": ["string", "null"]}, 5, "", "must be of type string or null"),
        ({"required": ["ref"]}, {}, "/ref", "is missing"),
        (
            {"properties": {"a": {"items": {"minimum": 3}}}},
            {"a": [4, 2]},
            "/a/1",
            "must be at least 3",
        ),
        ({"properties": {"a/b~": {"maxLength": 1}}}, {"a/b~": "xy"}, "/a~1b~0", None),
        ({"additionalProperties": False}, {"x": 1}, "", "has a key that is not allowed"),
        ({"format": "date"}, "tomorrow", "", "must be of format date, such as 2026-03-30"),
        ({"pattern": "^a$"}, "b", "", "must match the pattern"),
        ({"enum": ["a"]}, "b", "", "must be one of the allowed values"),
        ({"minItems": 2}, [1], "", "must have at least 2 items"),
    ],
)
def test_misfit_is_told_by_place(
    schema: dict[str, Any], value: Json, pointer: str, message: str | None
) -> None:
    """A misfit has the pointer of the value, and says what it must be."""
    (found,) = misfits_of(value, build_body_schema(schema))
    assert found.pointer == pointer
    assert message is None or found.message == message


def test_what_was_sent_is_never_told() -> None:
    """Neither a value nor a key of the sender is in any message."""
    secret = "Hunter-22"
    schema = {
        "additionalProperties": False,
        "properties": {
            "a": {"enum": ["x"], "pattern": "^x$", "format": "date", "maxLength": 1},
            "b": {"type": "integer"},
            "c": {"items": {"additionalProperties": False}},
        },
    }
    value = {secret: 1, "a": secret, "b": secret, "c": [{secret: secret}]}
    found = misfits_of(value, build_body_schema(schema))
    assert len(found) == 7
    assert "Hunter" not in repr(found)


def test_misfits_are_bounded() -> None:
    """However much is wrong, a handful is told."""
    schema = build_body_schema({"items": {"type": "string"}})
    assert len(misfits_of([1] * 100_000, schema)) == MOST_MISFITS


def test_pattern_of_a_stranger_takes_linear_time() -> None:
    """A pattern over which backtracking engines despair is matched at once."""
    schema = build_body_schema({"pattern": "^(a+)+$"})
    assert misfits_of("a" * 100_000 + "!", schema)


def test_schema_and_value_may_be_deep() -> None:
    """A schema as deep as a body may be is judged to its end."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(64):
        schema = {"items": schema}
    value = json.loads("[" * 64 + "1" + "]" * 64)
    (found,) = misfits_of(value, build_body_schema(schema))
    assert found.pointer == "/0" * 64
