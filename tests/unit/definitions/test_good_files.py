"""What the flow format allows: the files of `tests/definitions/good`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from flowrunner.model.ids import Json
from tests.definitions.examples import GOOD, data_of
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
SCHEMA: Any = COMPILER.schema.document


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_file_compiles_without_findings(path: Path) -> None:
    """A good file is a flow, without so much as a warning."""
    candidate = COMPILER.read(path.read_bytes(), file=path.name, account="default")

    assert candidate.findings == ()
    assert candidate.spec is not None
    assert candidate.spec.key == ("default", candidate.name)


def test_every_key_of_the_schema_is_in_a_good_file() -> None:
    """No field is accepted without a file that shows that it works."""
    used = {use for path in GOOD for use in uses(SCHEMA, data_of(path), "")}
    missing = sorted(set(properties(SCHEMA, "")) - used)

    assert not missing, f"no good file has {missing}"


def test_every_word_of_the_schema_is_in_a_good_file() -> None:
    """Each word of each closed set is used by a good file."""
    used = {
        (str(schema["enum"]), value)
        for path in GOOD
        for schema, value in values(SCHEMA, data_of(path))
        if isinstance(schema.get("enum"), list)
    }
    words = {
        (str(schema["enum"]), word)
        for schema in subschemas(SCHEMA)
        if isinstance(schema.get("enum"), list)  # an input has a key of this name
        for word in schema["enum"]
    }

    assert words - used == set()


def properties(schema: Any, place: str) -> Iterator[str]:
    """Yields the place of every property, each definition under its own name."""
    for key, part in schema.items() if isinstance(schema, dict) else ():
        if key == "$defs":
            for name, definition in part.items():
                yield from properties(definition, name)
        elif key == "properties":
            for name, value in part.items():
                yield f"{place}/{name}"
                yield from properties(value, f"{place}/{name}")
        elif key == "additionalProperties":
            yield from properties(part, f"{place}/*")


def uses(schema: Any, data: Json, place: str) -> Iterator[str]:
    """Yields the places of the properties that some data uses."""
    for name, value, part in children(schema, data):
        if name is not None:
            yield f"{place}/{name}"
        yield from uses(part, value, place if name is None else f"{place}/{name}")
    for name, part in applied(schema, data):
        yield from uses(part, data, name or place)


def values(schema: Any, data: Json) -> Iterator[tuple[Any, Json]]:
    """Yields every value of some data that can stand in a set, with its schema."""
    if isinstance(schema, dict):
        if isinstance(data, str | int):
            yield schema, data
        for _, value, part in children(schema, data):
            yield from values(part, value)
        for _, part in applied(schema, data):
            yield from values(part, data)


def children(schema: Any, data: Json) -> Iterator[tuple[str | None, Json, Any]]:
    """Yields the name, value and schema of what stands below; names of free keys are `*`."""
    if not isinstance(schema, dict):
        return
    if isinstance(data, list):
        for item in data:
            yield None, item, schema.get("items", {})
    elif isinstance(data, dict):
        known = schema.get("properties", {})
        for key, value in data.items():
            if key in known:
                yield key, value, known[key]
            elif isinstance(schema.get("additionalProperties"), dict):
                yield "*", value, schema["additionalProperties"]


def applied(schema: Any, data: Json) -> Iterator[tuple[str, Any]]:
    """Yields the schemas that apply to the same data, with the names of definitions."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        yield name, SCHEMA["$defs"][name]
    for part in schema.get("allOf", ()):
        branch = "then" if Draft202012Validator(part["if"]).is_valid(data) else "else"
        yield "", part.get(branch, {})


def subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Yields a schema and all that are in it."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from subschemas(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from subschemas(part)
