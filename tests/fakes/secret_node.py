"""A node type whose params may be secret, as those of `http` and of plugins will be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext

Work = Callable[[ExecutionContext, Mapping[str, Json]], Mapping[str, Json]]


class CallNode:
    """Takes secrets in `headers` and `body`, and none in `url`; `work` is all it does."""

    type = "call"
    schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "url": {"type": "string", "x-expression": True},
            "headers": {
                "type": "object",
                "additionalProperties": {"type": "string", "x-expression": True, "x-secret": True},
            },
            "body": {"x-expression": True, "x-secret": True},
        },
    }
    is_shell_like = False
    acts_outside = True
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = None

    def __init__(self, work: Work = lambda _ctx, _params: {}) -> None:
        self._work = work

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        return NodeResult(outputs=self._work(ctx, params))
