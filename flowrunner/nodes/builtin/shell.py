"""`shell`: a script, run by `/bin/sh -e` unless the node has `shell`; `run:` is short for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.program import Program, RunsPrograms


class ShellNode:
    """Runs `script` from a file. Data reaches it through the environment, never by pasting."""

    type = "shell"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["script"],
        "additionalProperties": False,
        "properties": {
            "script": {
                "description": "Text of a script, for a POSIX shell unless the node has `shell`; "
                "takes no expressions, use `env`.",
                "type": "string",
                "minLength": 1,
                "x-interpreted": True,
                "examples": ['echo "rows=42" >> "$FLOW_OUTPUT"'],
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
        """Refuses a NUL, which no shell script can hold."""
        if "\0" in str(params.get("script", "")):
            return (ParamProblem(path=("script",), message="the script contains a NUL character"),)
        return ()

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Runs the script in `$WORK_DIR` and reads its outputs."""
        program = Program(argv=ctx.process.shell, script=str(params["script"]))
        return await self._runner.run(ctx, program)
