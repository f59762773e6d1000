"""Params with the mark `x-secret`: secrets may stand in them, and nowhere beside them."""

from __future__ import annotations

import json

import pytest

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.ids import Json
from tests.fakes.clock import FakeClock
from tests.fakes.nodes import builtin_nodes
from tests.fakes.secret_node import CallNode


def _findings(params: Json) -> list[tuple[str, str, str]]:
    nodes = builtin_nodes()
    nodes.register("call", CallNode)
    flow = {
        "version": 1,
        "name": "calls",
        "secrets": ["TOKEN"],
        "nodes": [{"id": "a", "type": "call", "params": params}],
    }
    data = json.dumps(flow).encode()
    found = Compiler(nodes, FakeClock()).read(data, file="flow.yaml", account="default").findings
    return [(each.code, each.pointer, each.message) for each in found]


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"headers": {"authorization": "${{ secrets.TOKEN }}"}}, id="whole"),
        pytest.param({"headers": {"x": "Bearer ${{ secrets.TOKEN }}"}}, id="mixed"),
        pytest.param({"body": "${{ format('t={0}', secrets.TOKEN) }}"}, id="derived"),
        pytest.param({"body": {"deep": ["${{ secrets.TOKEN }}"]}}, id="below-a-mark"),
        pytest.param({"headers": {"x": "${{ flow.name }}"}}, id="no-secret"),
    ],
)
def test_secret_may_stand_where_the_schema_says_so(params: Json) -> None:
    """The mark holds for the value and for everything below it."""
    assert _findings(params) == []


def test_secret_beside_the_mark_is_a_finding() -> None:
    """A param that takes expressions takes no secrets by itself."""
    message = "a secret is not allowed in params of a node"
    assert _findings({"url": "https://example.com/${{ secrets.TOKEN }}"}) == [
        ("FR406", "/nodes/0/params/url", message)
    ]


def test_secret_under_the_mark_decides_nothing() -> None:
    """A place that keeps a secret is no place to compare it, or to use one that is not listed."""
    params = {"headers": {"x": "${{ secrets.TOKEN == 'x' }}", "y": "${{ secrets.OTHER }}"}}
    assert _findings(params) == [
        ("FR406", "/nodes/0/params/headers/x", "a secret cannot be compared"),
        ("FR402", "/nodes/0/params/headers/y", "the flow does not list the secret 'OTHER'"),
    ]


def test_unknown_name_under_the_mark_is_a_finding() -> None:
    """Params that may be secret see the contexts of other params."""
    assert _findings({"headers": {"x": "${{ inputs.none }} ${{ nope.x }}"}}) == [
        ("FR402", "/nodes/0/params/headers/x", "there is no inputs.none"),
        ("FR402", "/nodes/0/params/headers/x", "'nope' is not known in params that may be secret"),
    ]
