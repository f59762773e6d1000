"""`wait`: lets time pass, without holding a thread or a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.errors import ValidationError
from flowrunner.model.ids import Json
from flowrunner.model.quantities import DURATION_PATTERN, parse_duration
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext


class WaitNode:
    """Waits for a duration on the event loop; holds no thread and no process."""

    type = "wait"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["for"],
        "additionalProperties": False,
        "properties": {
            "for": {
                "description": "How long, as a duration with its unit.",
                "type": "string",
                "pattern": DURATION_PATTERN,
                "examples": ["90s"],
            }
        },
    }
    is_shell_like = False
    acts_outside = False
    output_names = frozenset[str]()

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Checks that `for` is a duration."""
        try:
            parse_duration(str(params.get("for", "")))
        except ValidationError as error:
            hint = str(getattr(error, "hint", ""))
            return (ParamProblem(path=("for",), message=error.message, hint=hint),)
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Sleeps; cancellation ends it at once."""
        import asyncio  # late: checking a flow must not cost an event loop

        await asyncio.sleep(parse_duration(str(params["for"])))
        return NodeResult()
