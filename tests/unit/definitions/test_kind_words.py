"""Findings name the kinds of values as the pages do."""

from __future__ import annotations

import pytest

from flowrunner.definitions.kind_words import found_words, wanted_words
from flowrunner.model.ids import Json


@pytest.mark.parametrize(
    ("types", "words"),
    [
        (["object"], "a map"),
        (["array"], "a list"),
        (["integer"], "a whole number"),
        (["string", "boolean"], "a text or a boolean"),
        (["string", "integer", "number", "boolean"], "a text, a number or a boolean"),
        (["string", "integer", "null"], "a text, a whole number or null"),
    ],
)
def test_wanted_types_are_a_choice_of_words(types: list[str], words: str) -> None:
    """The types of the schema read as a choice; a whole number is a number and not said twice."""
    assert wanted_words(types) == words


@pytest.mark.parametrize(
    ("value", "types", "words"),
    [
        ({}, ["string"], "a map"),
        ([], ["string"], "a list"),
        ("x", ["array"], "a text"),
        (True, ["string"], "a boolean"),
        (None, ["array"], "null"),
        (3, ["string"], "a number"),
        (1.5, ["string"], "a number"),
        (1.5, ["integer"], "a fraction"),
        (1.5, ["integer", "number"], "a number"),
    ],
)
def test_value_is_told_by_its_kind(value: Json, types: list[str], words: str) -> None:
    """What stands in the file is named by one word, a fraction where a whole number belongs."""
    assert found_words(value, types) == words
