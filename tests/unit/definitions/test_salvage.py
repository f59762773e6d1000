"""Promises of `flowrunner.definitions.salvage`; what it is good for is in `test_compiler`."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings

from flowrunner.definitions.flow_schema import flow_schema
from flowrunner.definitions.salvage import Salvager
from flowrunner.definitions.schema import FlowSchema
from flowrunner.model.ids import Json
from tests.definitions.mutations import mutants
from tests.fakes.nodes import builtin_nodes
from tests.profile import examples

DOCUMENT = flow_schema(builtin_nodes().schemas())
SCHEMA = FlowSchema(DOCUMENT)
SALVAGER = Salvager(DOCUMENT)
GOOD = {"version": 1, "name": "example", "nodes": [{"id": "build", "run": "make"}]}


def salvaged(data: Json) -> Json:
    """Returns the data in its mended form."""
    found = SALVAGER.salvage(data, SCHEMA.problems(data))
    assert found is not None
    return found.data


@pytest.mark.heavy
@settings(max_examples=examples(200))
@given(mutants())
def test_data_stays_as_it_is(data: Json) -> None:
    """Mending works on a copy: positions are looked up in what the file says."""
    before = copy.deepcopy(data)
    SALVAGER.salvage(data, SCHEMA.problems(data))

    assert repr(data) == repr(before)


def test_good_data_is_not_changed() -> None:
    """Data that fits comes out equal, with nothing in doubt."""
    found = SALVAGER.salvage(GOOD, [])

    assert found is not None
    assert found.data == GOOD
    assert not found.doubtful
    assert not found.replaced


def test_misspelt_key_is_read_as_what_was_meant() -> None:
    """The nearest known key takes the value, unless it is there itself."""
    assert salvaged({**GOOD, "descripton": "x"}) == {**GOOD, "description": "x"}
    both = {**GOOD, "description": "a", "descripton": "b"}
    assert salvaged(both) == {**GOOD, "description": "a"}


def test_value_is_read_as_what_was_meant() -> None:
    """A single entry stands for a list of it, a number for its text."""
    nodes = [{"id": 5, "run": "make"}, {"id": "b", "run": "make", "needs": "5"}]

    assert salvaged({**GOOD, "nodes": nodes})["nodes"] == [
        {"id": "5", "run": "make"},
        {"id": "b", "run": "make", "needs": ["5"]},
    ]


def test_entries_of_lists_keep_their_places() -> None:
    """Nodes behind one that does not fit stand where they stood."""
    nodes = [None, 5, {"id": "build", "run": "make"}]

    assert salvaged({**GOOD, "nodes": nodes})["nodes"][2] == nodes[2]


def test_values_shared_by_an_alias_are_mended_apart() -> None:
    """What an alias repeats may fit in one place and not in another."""
    shared = {"A": [1]}
    nodes = [{"id": "a", "run": "make", "env": shared}]

    data = salvaged({**GOOD, "vars": {"x": shared}, "nodes": nodes})
    assert data["vars"] == {"x": {"A": [1]}}
    assert data["nodes"][0]["env"] == {"A": ""}


def test_file_with_more_problems_than_are_known_is_beyond_repair() -> None:
    """Where not all problems are known, nothing more is said."""
    data = {**GOOD, **{f"key{number}": 1 for number in range(5_000)}}

    assert SALVAGER.salvage(data, SCHEMA.problems(data)) is None
