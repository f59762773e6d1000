"""`email`: one mail by the server of a channel of type `email`, which has to take it.

Unlike a `notify` it waits for the server, so that `retry` and `timeout` mean something. The mail
has the id of its attempt. Addresses are checked, at load where they are literals; header lines
cannot be smuggled in, since a subject is one line and an address holds no white space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowrunner.errors import ExecutionError
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.formats import is_mailable
from flowrunner.model.ids import Json
from flowrunner.model.notify import CHANNEL_NAME
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.messages import bounded, masked, one_line
from flowrunner.nodes.telling import Letter, TellsPeople

MOST_RECEIVERS = 100
"""Of one mail. Source: RFC 5321 section 4.5.3.1.8, the least that every server takes."""

LONGEST_SUBJECT = 200
"""Characters; what is longer is cut."""

_RECEIVERS = ("to", "cc", "bcc")
_HINT = "write name@example.com, or a list of such addresses"


def _addresses(what: str, example: Json) -> dict[str, Json]:
    return {
        "description": f"{what}: an address, a list of some, or an expression that gives either.",
        "type": ["string", "array"],
        "minLength": 1,
        "minItems": 1,
        "maxItems": MOST_RECEIVERS,
        "items": {"type": "string"},
        "x-expression": True,
        "examples": [example],
    }


class EmailNode:
    """Sends a mail with `subject` and `body`.

    Args:
        tells: Gives who sends, when there is something to send.
    """

    type = "email"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["channel", "subject", "body"],
        "additionalProperties": False,
        "properties": {
            "channel": {
                "description": "The name of a channel of type `email` in the settings: its server, "
                "its sender.",
                "type": "string",
                "pattern": CHANNEL_NAME,
                "examples": ["mail"],
            },
            "to": _addresses(
                "Who gets it; left out: the receivers of the channel", ["boss@example.com"]
            ),
            "cc": _addresses("Who gets a copy", "team@example.com"),
            "bcc": _addresses("Who gets a copy without the others' knowing", "${{ vars.archive }}"),
            "subject": {
                "description": "One line; may hold expressions.",
                "type": "string",
                "minLength": 1,
                "x-expression": True,
                "examples": ["orders of ${{ inputs.day }}"],
            },
            "body": {
                "description": "Plain text; may hold expressions.",
                "type": "string",
                "minLength": 1,
                "x-expression": True,
                "examples": ["${{ nodes.report.outputs.text }}"],
            },
        },
    }
    is_shell_like = False
    acts_outside = True
    on_interrupt = OnInterrupt.FAIL
    survives_restart = True
    output_names = frozenset[str]()

    def __init__(self, tells: Callable[[], TellsPeople]) -> None:
        self._tells = tells

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Refuses literals that are no addresses."""
        problems = []
        for key in _RECEIVERS:
            value = params.get(key, [])
            listed = isinstance(value, list)
            for index, text in enumerate(value if listed else [value]):
                if "${{" in text or is_mailable(text):
                    continue
                path = (key, index) if listed else (key,)
                problems.append(
                    ParamProblem(path=path, message=f"{text[:80]!r} is no address", hint=_HINT)
                )
        return problems

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Returns when the server has taken the mail for all receivers.

        Raises:
            ExecutionError: ``bad_address``, final; or as `TellsPeople.mail` says.
        """
        to, cc, bcc = (_receivers(params, key) for key in _RECEIVERS)
        if len({*to, *cc, *bcc}) > MOST_RECEIVERS:
            text = f"more than {MOST_RECEIVERS} receivers are too many for one mail"
            raise ExecutionError(text, code="bad_address", final=True)
        subject = masked(params["subject"], ctx.hidden)
        letter = Letter(
            key=ctx.key,
            flow=ctx.flow,
            channel=str(params["channel"]),
            to=to,
            cc=cc,
            bcc=bcc,
            subject=bounded(one_line(subject), LONGEST_SUBJECT),
            body=masked(params["body"], ctx.hidden),
        )
        told = await self._tells().mail(letter)
        ctx.sink.note(f"{told}: {letter.subject}")
        return NodeResult()


def _receivers(params: Mapping[str, Json], key: str) -> tuple[str, ...]:
    """Returns addresses, each once; what was computed instead is data, so no message quotes it."""
    if key not in params:
        return ()
    value = params[key]
    found = value if isinstance(value, list) else [value]
    for each in found:
        if not isinstance(each, str) or not is_mailable(each):
            details: dict[str, Json] = {"param": key, "value": str(each)[:80]}
            text = f"{key!r} gave something that is no address"
            raise ExecutionError(text, code="bad_address", details=details, final=True)
    if not found:
        text = f"{key!r} gave no address"
        raise ExecutionError(text, code="bad_address", final=True)
    return tuple(dict.fromkeys(found))
