"""`switch`: chooses one among the nodes that it names; the others are left out.

It only says which. What becomes of those that were not chosen is the engine's, and which nodes it
names is read from its params by `flowrunner.definitions.switches`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext

CHOSEN = "chosen"
"""The output with the id of the chosen node, or null."""


class SwitchNode:
    """Tries `cases` in their order: the first whose `when` is true names the node."""

    type = "switch"
    schema: Mapping[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "cases": {
                "description": "Conditions in the order in which they are tried.",
                "type": "array",
                "minItems": 1,
                "examples": [[{"when": "inputs.size > 100", "goto": "large"}]],
                "items": {
                    "type": "object",
                    "required": ["when", "goto"],
                    "additionalProperties": False,
                    "properties": {
                        "when": {
                            "description": "An expression, with or without the wrapper.",
                            "type": ["string", "boolean"],
                            "x-expression": True,
                            "x-condition": True,
                            "examples": ["inputs.size > 100"],
                        },
                        "goto": {
                            "description": "The node that runs when it is the first true one.",
                            "type": "string",
                            "examples": ["large"],
                        },
                    },
                },
            },
            "default": {
                "description": "The node that runs when no case is true; without it none does.",
                "type": "string",
                "examples": ["small"],
            },
        },
    }
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.RERUN
    survives_restart = False
    output_names = frozenset({CHOSEN})

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Refuses a switch that names nobody."""
        if params.keys() & {"cases", "default"}:
            return ()
        hint = "write cases: [{when: …, goto: …}], default: …, or both"
        return (ParamProblem(path=(), message="a switch chooses among no nodes", hint=hint),)

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Returns the choice; conditions behind the first true one are not evaluated.

        Raises:
            ExecutionError: ``expression`` when a condition cannot be evaluated.
        """
        cases = params.get("cases", ())
        chosen = next((case["goto"] for case in cases if case["when"]()), params.get("default"))
        return NodeResult(outputs={CHOSEN: chosen})
