"""`set`: computes values once, so that later nodes can refer to them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext


class SetNode:
    """Each entry of `values` becomes an output of the same name."""

    type = "set"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["values"],
        "additionalProperties": False,
        "properties": {
            "values": {
                "description": "Map of output names to values; strings may hold expressions.",
                "type": "object",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,62}$"},
                "additionalProperties": {"x-expression": True},
                "examples": [{"day": "${{ inputs.day }}"}],
            }
        },
    }
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = None

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """The schema says all."""
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Returns the resolved values."""
        return NodeResult(outputs=dict(params["values"]))
