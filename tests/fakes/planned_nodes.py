"""Node types that are planned, as far as the checks need them: proof that their rules are live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flowrunner.definitions.compiler import Compiler
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from tests.fakes.clock import FakeClock
from tests.fakes.nodes import builtin_nodes

_TEXT = {"type": "string"}
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "flow": {
        "type": "object",
        "required": ["flow"],
        "additionalProperties": False,
        "properties": {
            "flow": _TEXT,
            "inputs": {"type": "object"},
            "wait": {"type": "boolean", "default": True},
        },
    },
}
"""The params of FLOW_FORMAT 4."""


class PlannedNode:
    """Meets `Node` for checking; never carries anything out."""

    is_shell_like = False
    acts_outside = True
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = frozenset[str]()

    def __init__(self, node_type: str) -> None:
        self.type = node_type
        self.schema = SCHEMAS[node_type]

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        raise AssertionError(f"{ctx.key.node} must not run: {params}")


def planned_compiler() -> Compiler:
    """Returns a compiler that knows `flow` besides the built-in types."""
    nodes = builtin_nodes()
    for node_type in SCHEMAS:
        nodes.register(node_type, partial(PlannedNode, node_type))
    return Compiler(nodes, FakeClock())
