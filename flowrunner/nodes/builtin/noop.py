"""`noop`: does nothing, as a joint in a graph or a place to hang an `if` on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext


class NoopNode:
    """Succeeds at once, with no outputs."""

    type = "noop"
    schema: Mapping[str, Any] = {
        "type": "object",
        "description": "noop takes no params.",
        "additionalProperties": False,
    }
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = frozenset[str]()

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Nothing to check."""
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Returns at once."""
        return NodeResult()
