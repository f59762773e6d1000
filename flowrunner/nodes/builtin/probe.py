"""`wait` with a `probe`: a script looks every so often, and the wait ends when it succeeds.

The form of `wait` that starts processes, so that it has the keys of a script, while a restart
disturbs it no more than any other wait: a probe is a look, not an act, and one that was cut short
is simply repeated. Between two probes nothing of it runs and no place of the host is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import Json
from flowrunner.model.quantities import parse_duration
from flowrunner.nodes.base import NodeFailedError, NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.program import Program, RunsPrograms
from flowrunner.nodes.wait_params import WAIT_SCHEMA, problems_of_wait

_NO_COMMAND = frozenset({126, 127})
"""A command that is not there, or not executable. Source: POSIX.1-2017, 2.8.2, Exit Status."""


class ProbeNode:
    """Runs `probe` every `every` until its exit code is one of a success."""

    type = "wait"
    schema = WAIT_SCHEMA
    is_shell_like = True
    acts_outside = True
    on_interrupt = OnInterrupt.RERUN
    survives_restart = True
    output_names = None

    def __init__(self, runner: RunsPrograms) -> None:
        self._runner = runner

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Checks that there is one end, how often the probe runs, and its text."""
        return problems_of_wait(params)

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Probes until one succeeds, and returns the outputs of that one.

        Each probe is announced by a line of the log with its number, which counts from 1 again
        after a restart.

        Raises:
            NodeFailedError: A signal ended a probe; or, final, a command is not there (127) or
                cannot be executed (126).
            ExecutionError: A probe could not be started, or the outputs of the one that
                succeeded are malformed (``output``).
        """
        import asyncio  # late: checking a flow must not cost an event loop

        loop, every_s = asyncio.get_running_loop(), parse_duration(str(params["every"]))
        program = Program(argv=ctx.process.shell, script=str(params["probe"]), is_repeated=True)
        number, told = 1, ""
        while True:
            async with ctx.place():
                due = loop.time() + every_s
                ctx.sink.note(f"probe {number}{told}")
                try:
                    return await self._runner.run(ctx, program)
                except NodeFailedError as error:
                    told = f"; the one before ended with {_not_yet(error)}"
            number += 1
            await asyncio.sleep(max(0.0, due - loop.time()))


def _not_yet(error: NodeFailedError) -> str:
    """Returns the exit code that says "not yet".

    Raises:
        NodeFailedError: It says that no probe will ever succeed, or there is none.
    """
    if error.exit_code is None:
        raise error
    if error.exit_code in _NO_COMMAND:
        raise NodeFailedError(
            f"{error.message}: a command of the probe is not there, or not executable",
            exit_code=error.exit_code,
            reason=error.reason,
            outputs=error.outputs,
            final=True,
        ) from error
    return error.message
