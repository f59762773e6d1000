"""Promises of `flowrunner.definitions.schema`: a fast yes and a patient no that agree."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from flowrunner.definitions import codes
from flowrunner.definitions.flow_schema import flow_schema
from flowrunner.definitions.schema import MAX_PROBLEMS, FlowSchema
from flowrunner.model.ids import Json
from tests.definitions.examples import BAD, GOOD, data_of
from tests.definitions.mutations import mutants
from tests.fakes.nodes import builtin_nodes
from tests.profile import examples

SCHEMA = FlowSchema(flow_schema(builtin_nodes().schemas()))


def check_agreement(data: Json) -> None:
    """The fast library says yes exactly when the patient one finds nothing."""
    patient = next(iter(SCHEMA._patient.iter_errors(data)), None)

    assert SCHEMA.is_valid(data) == (patient is None), patient
    assert SCHEMA.is_valid(data) == (SCHEMA.problems(data) == [])


def test_schema_is_a_schema() -> None:
    """The document is valid JSON Schema 2020-12."""
    Draft202012Validator.check_schema(dict(SCHEMA.document))


@pytest.mark.parametrize("path", [*GOOD, *BAD], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_libraries_agree_about_a_file(path: Path) -> None:
    """Both libraries say yes, or both say no, about every good and every bad file."""
    check_agreement(data_of(path))


@pytest.mark.heavy
@settings(max_examples=examples(150))
@given(mutants())
def test_libraries_agree_about_edited_definitions(data: Json) -> None:
    """Both libraries agree about definitions that were good until somebody edited them."""
    check_agreement(data)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_file_fits(path: Path) -> None:
    """Good files fit the schema, so that editors do not mark them."""
    assert SCHEMA.is_valid(data_of(path))


def test_problem_that_only_the_fast_library_sees_is_told() -> None:
    """A no is never lost: without an explanation of ours it is told in the library's words."""
    schema = FlowSchema({"properties": {"a": {"pattern": r"^\d$"}}})  # \d is ASCII in JSON Schema

    (problem,) = schema.problems({"a": "\N{ARABIC-INDIC DIGIT FIVE}"})

    assert problem.path == ("a",)
    assert problem.code is codes.VALUE_NOT_ALLOWED
    assert "does not match" in problem.message


def test_keyword_of_a_node_type_without_words_of_ours_is_told() -> None:
    """A plugin's schema may use any keyword; what it refuses has a code and a place."""
    schema = FlowSchema({"properties": {"a": {"multipleOf": 5}, "b": {"pattern": "^x"}}})

    problems = {problem.path: problem for problem in schema.problems({"a": 7, "b": "y"})}

    assert problems[("a",)].message == "is not allowed here"
    assert problems[("b",)].message == "'y' has the wrong form"


def test_problems_are_bounded() -> None:
    """A file full of mistakes is told the first thousand of them."""
    keys = {f"key{number}": 1 for number in range(5_000)}

    assert len(SCHEMA.problems({"version": 1, "name": "x", "nodes": [], **keys})) == MAX_PROBLEMS


def test_every_key_is_described_with_an_example_that_fits() -> None:
    """Editors show what each key is for; the examples are true."""
    for name, schema in described(SCHEMA.document):
        assert schema.get("description"), name
        assert schema.get("examples"), name
        whole = {**schema, "$defs": SCHEMA.document["$defs"]}
        for example in schema["examples"]:
            assert Draft202012Validator(whole).is_valid(example), name
        if "default" in schema:
            assert Draft202012Validator(whole).is_valid(schema["default"]), name


def described(
    schema: Any, place: str = "", within: frozenset[str] = frozenset()
) -> list[tuple[str, dict[str, Any]]]:
    """Returns the schema of every key; those of definitions that are referred to are theirs.

    `within` names the definitions around it: what refers to one of them is known already.
    """
    if not isinstance(schema, dict) or schema.get("$ref") in within:
        return []
    within |= {schema.get("$ref", "")} - {""}
    found: list[tuple[str, dict[str, Any]]] = []
    for key, part in schema.get("properties", {}).items():
        if isinstance(part, dict):
            part = {**SCHEMA.document["$defs"].get(part.get("$ref", "")[8:], {}), **part}  # noqa: PLW2901 - the same schema, resolved
            found.append((f"{place}/{key}", part))
            found.extend(described(part, f"{place}/{key}", within))
    parts = chain(schema.get("$defs", {}).items(), [("*", schema.get("additionalProperties"))])
    return found + [
        item for name, part in parts for item in described(part, f"{place}/{name}", within)
    ]
