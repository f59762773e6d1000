"""`fail`: ends its branch with a message a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.errors import ExecutionError
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.messages import printable


class FailNode:
    """Fails with `message` as `error.message`; trying again would not help."""

    type = "fail"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["message"],
        "additionalProperties": False,
        "properties": {
            "message": {
                "description": "Becomes `error.message`; may hold expressions.",
                "type": "string",
                "x-expression": True,
                "examples": ["no rows for ${{ inputs.day }}"],
            },
            "code": {
                "description": "Becomes `error.code`.",
                "type": "string",
                "pattern": "^[a-z][a-z0-9_]{0,62}$",
                "default": "fail",
                "examples": ["no_rows"],
            },
        },
    }
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = frozenset[str]()

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """The schema says all."""
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Raises the failure.

        Raises:
            ExecutionError: Always, with the flow's own code and message.
        """
        message = printable(params["message"])
        ctx.sink.note(message)
        code = str(params.get("code", "fail"))
        raise ExecutionError(message, code=code, final=True, quotes_data=True)
