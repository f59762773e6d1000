"""`log`: writes a message to the log of the execution and to the daemon's own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.messages import masked, printable

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_DAEMON_LOG_LIMIT = 1_000
"""Characters of a message that reach the daemon's own log; the execution's log has them all."""


class LogNode:
    """Writes `message` at `level`."""

    type = "log"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["message"],
        "additionalProperties": False,
        "properties": {
            "message": {
                "description": "The text; may hold expressions.",
                "type": "string",
                "x-expression": True,
                "examples": ["disk is at ${{ nodes.measure.outputs.percent }} percent"],
            },
            "level": {
                "description": "How loud the daemon's own log says it.",
                "enum": list(_LEVELS),
                "default": "info",
                "examples": ["warning"],
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
        """Writes the message; a value that is not text is written as JSON."""
        message = printable(params["message"])
        ctx.sink.note(message)
        level = _LEVELS[str(params.get("level", "info"))]
        # Quoted: a line end from outside must not begin a line of the daemon's own.
        text = masked(message, ctx.hidden)[:_DAEMON_LOG_LIMIT]
        ctx.logger.log(level, "node.message %r", text)
        return NodeResult()
