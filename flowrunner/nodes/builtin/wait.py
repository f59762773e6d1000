"""`wait`: lets time pass, without holding a thread or a process; a restart does not disturb it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.errors import ValidationError
from flowrunner.model.flow import OnInterrupt
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
    on_interrupt = OnInterrupt.RERUN
    survives_restart = True
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
        """Sleeps until the duration has passed since the attempt began, restarts included."""
        import asyncio  # late: checking a flow must not cost an event loop

        passed_s = (ctx.clock.now() - ctx.started_at).total_seconds()
        await asyncio.sleep(max(0.0, parse_duration(str(params["for"])) - passed_s))
        return NodeResult()
