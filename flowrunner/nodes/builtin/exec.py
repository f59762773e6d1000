"""`exec`: a program with its arguments as a list; no shell, nothing is parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.errors import ExecutionError
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.program import Program, RunsPrograms


class ExecNode:
    """Runs `argv` as it stands; each argument may be one expression's value."""

    type = "exec"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["argv"],
        "additionalProperties": False,
        "properties": {
            "argv": {
                "description": "Program and arguments; arguments may hold expressions.",
                "type": "array",
                "minItems": 1,
                "items": {"type": ["string", "integer", "number"], "x-expression": True},
                "examples": [["/usr/bin/rsync", "-a", "--", "src/", "${{ inputs.target }}"]],
            }
        },
    }
    is_shell_like = True
    acts_outside = True
    on_interrupt = OnInterrupt.FAIL
    survives_restart = False
    output_names = None

    def __init__(self, runner: RunsPrograms) -> None:
        self._runner = runner

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Refuses a NUL, which no argument can hold."""
        return tuple(
            ParamProblem(path=("argv", index), message="the argument contains a NUL character")
            for index, value in enumerate(params.get("argv", ()))
            if isinstance(value, str) and "\0" in value
        )

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Runs the program in `$WORK_DIR`.

        Raises:
            ExecutionError: ``bad_argument`` when an argument is not text or a number.
        """
        argv = tuple(_argument(index, value) for index, value in enumerate(params["argv"]))
        return await self._runner.run(ctx, Program(argv=argv))


def _argument(index: int, value: Json) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ExecutionError(
            f"argument {index} is {_kind(value)}, not text or a number",
            code="bad_argument",
            final=True,
        )
    text = str(value)
    if "\0" in text:
        raise ExecutionError(f"argument {index} contains a NUL", code="bad_argument", final=True)
    return text


def _kind(value: Json) -> str:
    names = {bool: "a boolean", dict: "a map", list: "a list", type(None): "null"}
    return names.get(type(value), type(value).__name__)
