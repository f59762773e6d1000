"""Promises of `flowrunner.definitions.references`: what a definition says about other flows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowrunner.definitions.claims import claims_of
from flowrunner.definitions.references import references_of
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.ids import Json
from flowrunner.model.references import NO_REFERENCES, FlowReferences


def node(name: Json, **params: Json) -> Json:
    return {"id": "n", "type": "flow", "params": {"flow": name, **params}}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        pytest.param({"nodes": [node("b")]}, FlowReferences(waits_for=frozenset("b")), id="waits"),
        pytest.param(
            {"nodes": [node("b", wait=False), node("c", wait=True)]},
            FlowReferences(starts=frozenset("b"), waits_for=frozenset("c")),
            id="wait",
        ),
        pytest.param(
            {"nodes": [], "finally": [node("b")]},
            FlowReferences(waits_for=frozenset("b")),
            id="finally",
        ),
        pytest.param(
            {"nodes": [], "triggers": [{"type": "flow", "flow": "b"}]},
            FlowReferences(follows=frozenset("b")),
            id="trigger",
        ),
        pytest.param(
            {"nodes": [], "triggers": [{"type": "flow", "flow": "b", "enabled": False}]},
            NO_REFERENCES,
            id="disabled",
        ),
        pytest.param({"nodes": [node("${{ inputs.x }}")]}, NO_REFERENCES, id="computed"),
        pytest.param({"nodes": [{"id": "n", "run": "flow"}]}, NO_REFERENCES, id="script"),
    ],
)
def test_names_of_other_flows(definition: Json, expected: FlowReferences) -> None:
    """Nodes and triggers of type `flow` count by their literal names."""
    assert replace(references_of(definition), calls=()) == expected


def test_calls_have_their_places_and_inputs() -> None:
    """A node is found where it stands, with its inputs, and which of them are literal."""
    inputs = {
        "a": 1,
        "b": "${{ vars.x }}",
        "c": ["${{ vars.x }}"],
        "d": "$${{ x }}",
        "e": {"f": "g"},
    }
    definition = {
        "nodes": [{"id": "n", "run": "x"}, node("${{ vars.x }}")],
        "finally": [node("b", inputs=inputs)],
    }
    (call,) = references_of(definition).calls

    assert (call.flow, call.path) == ("b", ("finally", 0, "params"))
    assert call.inputs == inputs
    assert sorted(call.literals) == ["a", "e"]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("'db'", "db"),
        ("${{ 'db' }}", "db"),
        ("inputs.db", None),
        ("'a' || 'b'", None),
        ("5", None),
        ("((", None),
    ],
)
def test_group_counts_when_its_expression_is_a_text(group: str, expected: str | None) -> None:
    """`concurrency.group` takes a bare expression; what depends on data cannot be judged."""
    assert references_of({"nodes": [], "concurrency": {"group": group}}).group == expected


def test_group_that_holds_nobody_up_does_not_count() -> None:
    """With `on_conflict: allow` nobody waits for the group."""
    concurrency = {"group": "'db'", "on_conflict": "allow"}

    assert references_of({"nodes": [], "concurrency": concurrency}) is NO_REFERENCES


def test_places_are_those_of_the_first_use() -> None:
    """A name and a group are found again where they stand, by line and column."""
    text = (
        "name: a\nconcurrency: {group: \"'db'\"}\ntriggers:\n  - {type: flow, flow: c}\nnodes:\n"
        "  - {id: n, type: flow, params: {flow: b}}\n  - {id: m, type: flow, params: {flow: b}}\n"
    )
    claims = claims_of(read_yaml(text.encode(), file="f"))

    assert {name: (p.line, p.column) for name, p in claims.flows.items()} == {
        "b": (6, 40),
        "c": (4, 24),
    }
    assert (claims.group.line, claims.group.column, claims.group.pointer) == (
        2,
        22,
        "/concurrency/group",
    )
