"""`notify`: says something over channels of the host or of the account.

Like what rules of `notify` tell it goes by the durable outbox, which sends it as soon as it can and
tries again for a day: the node is done when its message is safe, and no channel that fails holds up
a flow. So it is no type that acts outside. A node that waits sends by itself, once.
Source: FLOW_FORMAT 2 (`defaults` reach types that act outside, `notify` is none) and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.model.notify import CHANNEL_NAME
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.messages import bounded, masked, one_line
from flowrunner.nodes.telling import Saying, TellsPeople

_NO_TEXT = "(no text)"
LONGEST_MESSAGE, LONGEST_SUBJECT = 10_000, 200
"""Characters; what is longer is cut, since a part of a message is better than none."""


class NotifyNode:
    """Says `message` over each of `channels`.

    Args:
        tells: Gives who sends, when there is something to send.
    """

    type = "notify"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["channels", "message"],
        "additionalProperties": False,
        "properties": {
            "channels": {
                "description": "Over which channels, by their names in the settings.",
                "type": "array",
                "minItems": 1,
                "maxItems": 20,
                "uniqueItems": True,
                "items": {"type": "string", "pattern": CHANNEL_NAME},
                "examples": [["oncall"]],
            },
            "message": {
                "description": "The text, in any number of lines; may hold expressions.",
                "type": "string",
                "minLength": 1,
                "x-expression": True,
                "examples": ["loaded ${{ nodes.load.outputs.rows }} rows"],
            },
            "subject": {
                "description": "What it is about, in one line; may hold expressions. Left out: "
                "the first line of the message.",
                "type": "string",
                "minLength": 1,
                "x-expression": True,
                "examples": ["orders of ${{ inputs.day }}"],
            },
            "wait": {
                "description": "Whether the node sends the message itself, once, and fails when "
                "a channel does not take it; without, it succeeds when the message is kept, and "
                "the daemon sends it as soon as it can.",
                "type": "boolean",
                "default": False,
                "examples": [True],
            },
        },
    }
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.FAIL
    survives_restart = True
    output_names = frozenset[str]()

    def __init__(self, tells: Callable[[], TellsPeople]) -> None:
        self._tells = tells

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """The schema says all."""
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Hands the message over.

        Raises:
            ExecutionError: As `TellsPeople.tell` says.
        """
        message = masked(params["message"], ctx.hidden)
        subject = masked(params.get("subject", ""), ctx.hidden)
        first = next((line for line in message.splitlines() if line.strip()), _NO_TEXT)
        saying = Saying(
            key=ctx.key,
            flow=ctx.flow,
            channels=tuple(params["channels"]),
            subject=bounded(one_line(subject) or one_line(first), LONGEST_SUBJECT),
            message=bounded(message, LONGEST_MESSAGE),
            is_waited=bool(params.get("wait", False)),
        )
        told = await self._tells().tell(saying)
        ctx.sink.note(f"{told}: {saying.subject}")
        if saying.message.strip() != saying.subject:
            ctx.sink.note(saying.message)
        return NodeResult()
