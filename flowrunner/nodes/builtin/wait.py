"""`wait`: lets time pass, without holding a thread or a process; a restart does not disturb it.

The third end of a wait, a `probe` that succeeds, starts processes: `flowrunner.nodes.builtin.probe`
carries it out. What params either form may have: `flowrunner.nodes.wait_params`.

Both ends are moments on the wall clock: that of `for` counts from the begin of the attempt, which
the next life of the daemon knows, but never further away than `for` says, whatever the clock of a
host shows that has just booted; that of `until` is written or computed, the same in every life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from flowrunner.errors import ExecutionError
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import Json
from flowrunner.model.quantities import parse_duration
from flowrunner.nodes.base import NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext
from flowrunner.nodes.wait_params import TIME_HINT, WAIT_SCHEMA, problems_of_wait
from flowrunner.system.clock import Clock

_GLANCE_S = 60.0
"""How often `until` looks at the wall clock, in seconds: somebody may set it meanwhile."""


class WaitNode:
    """Waits for a duration or until a time, on the event loop; holds no thread and no process."""

    type = "wait"
    schema = WAIT_SCHEMA
    is_shell_like = False
    acts_outside = False
    on_interrupt = OnInterrupt.RERUN
    survives_restart = True
    output_names = frozenset[str]()

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Checks that there is one end, and that it is right if it is written."""
        return problems_of_wait(params)

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Sleeps until the end of the wait, restarts included.

        Raises:
            ExecutionError: ``expression``, final: `until` gave no time.
        """
        import asyncio  # late: checking a flow must not cost an event loop

        if "until" in params:
            end = _moment(params["until"])
            while (left_s := _left_s(ctx.clock, end)) > 0:  # noqa: ASYNC110 - a clock tells no event
                await asyncio.sleep(min(left_s, _GLANCE_S))
            return NodeResult()
        passed_s = (ctx.clock.now() - ctx.started_at).total_seconds()
        whole_s = parse_duration(str(params["for"]))
        await asyncio.sleep(min(whole_s, max(0.0, whole_s - passed_s)))
        return NodeResult()


def _moment(value: Json) -> datetime:
    """Returns the time that `until` gave; what it gave instead is data, so nothing quotes it."""
    moment = parse_moment(value) if isinstance(value, str) else None
    if moment is None:
        text = f"'until' gave no time: {TIME_HINT}"
        raise ExecutionError(text, code="expression", final=True)
    return moment


def _left_s(clock: Clock, end: datetime) -> float:
    return (end - clock.now()).total_seconds()
