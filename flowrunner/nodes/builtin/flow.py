"""`flow`: starts another flow of the account, and waits for its end unless told not to.

The child is an execution like any other: pinned when it is created, with limits, logs and a
`finally` of its own. How it comes to be is behind `CallsFlows`, so that flows are checked where
nothing can be executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from flowrunner.dataclass import dataclass
from flowrunner.errors import ExecutionError
from flowrunner.model.execution import Execution
from flowrunner.model.flow import OnInterrupt
from flowrunner.model.ids import AttemptKey, ExecutionId, FlowKey, Json
from flowrunner.model.states import ExecutionState, Reason
from flowrunner.nodes.base import EndedBeforeError, NodeResult, ParamProblem
from flowrunner.nodes.context import ExecutionContext

EXECUTION_ID = "execution_id"
"""The output of a node that does not wait, and where errors name the child."""

_FLOW_NAME = re.compile("[a-z0-9][a-z0-9-]{0,62}")
"""Source: FLOW_FORMAT 1, names."""

_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCall:
    """What an attempt asks for.

    Attributes:
        key: The attempt: it has one child at most, whoever asks and how often.
        caller: Its flow; the other one is of the same account.
        flow: The name of the other flow.
        inputs: By name, as computed; their types are the other flow's.
        is_waited: Whether the attempt waits for the end of the child.
    """

    key: AttemptKey
    caller: FlowKey
    flow: str
    inputs: Mapping[str, Json]
    is_waited: bool


class CallsFlows(Protocol):
    """Starts children, and waits for them."""

    async def start(self, call: FlowCall) -> ExecutionId:
        """Returns the child of an attempt once it is accepted durably; the one it has, if any.

        Raises:
            ExecutionError: ``flow_missing``; ``not_ready``, ``suspended``, ``paused``, ``disk`` or
                ``concurrency``: it may not start now; ``flow_depth``, ``input.invalid``,
                ``input.group`` or ``concurrency_deadlock``, final.
            LeftError: The daemon stops, and has not started it.
        """

    async def run(self, call: FlowCall, told: Callable[[ExecutionId], None]) -> Execution:
        """Returns the child of an attempt as it ended; `told` gets its id as soon as it has one.

        Cancelling it asks the child to end, and waits until it has, unless the daemon stops: then
        the child is left, and so is the attempt, whatever has ended it: who waits ends later.

        Raises:
            ExecutionError: As `start`; ``flow_lost``: what became of the child is not known.
            LeftError: The daemon stops before the child has ended.
        """


class NoFlows:
    """Meets `CallsFlows` where there are no other flows: checks need none."""

    async def start(self, call: FlowCall) -> ExecutionId:
        """Raises `ExecutionError`: ``flow_missing``."""
        raise ExecutionError(f"there is no flow {call.flow!r} here", code="flow_missing")

    async def run(
        self,
        call: FlowCall,
        told: Callable[[ExecutionId], None],
    ) -> Execution:
        """Raises `ExecutionError`: ``flow_missing``."""
        raise ExecutionError(f"there is no flow {call.flow!r} here", code="flow_missing")


class FlowNode:
    """Starts a flow with inputs; its outputs are those of the child.

    Args:
        calls: Gives who starts children, when the first one is started.
    """

    type = "flow"
    schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["flow"],
        "additionalProperties": False,
        "properties": {
            "flow": {
                "description": "The name of a flow of the same account.",
                "type": "string",
                "minLength": 1,
                "x-expression": True,
                "examples": ["rebuild-index"],
            },
            "inputs": {
                "description": "Inputs of that flow, checked by its declarations; a text is "
                "converted to the type of its input, as `run --input` does.",
                "type": "object",
                "additionalProperties": {"x-expression": True},
                "examples": [{"day": "${{ inputs.day }}"}],
            },
            "wait": {
                "description": "Whether the node waits for the end of that flow and has its "
                f"outputs; without, it succeeds when the start is accepted, with `{EXECUTION_ID}`.",
                "type": "boolean",
                "default": True,
                "examples": [False],
            },
        },
    }
    is_shell_like = False
    acts_outside = True
    on_interrupt = OnInterrupt.RERUN
    survives_restart = True
    output_names = None

    def __init__(self, calls: Callable[[], CallsFlows]) -> None:
        self._calls = calls

    def validate(self, params: Mapping[str, Json]) -> Sequence[ParamProblem]:
        """Refuses a literal that cannot be the name of a flow."""
        name = str(params["flow"])
        if "${{" in name or _FLOW_NAME.fullmatch(name):
            return ()
        message = f"{name[:_LONGEST_QUOTE]!r} cannot be the name of a flow"
        hint = "names of flows have lower-case letters, digits and '-', at most 63"
        return (ParamProblem(path=("flow",), message=message, hint=hint),)

    async def execute(self, ctx: ExecutionContext, params: Mapping[str, Json]) -> NodeResult:
        """Returns the outputs of the child, or its id when it is not waited for.

        Raises:
            ExecutionError: ``flow_failed``, ``flow_timed_out`` or ``flow_cancelled``: so the child
                ended; its id, error and reason stand in the details. Or as `CallsFlows` says.
        """
        call = FlowCall(
            key=ctx.key,
            caller=ctx.flow,
            flow=_name_of(params["flow"]),
            inputs=dict(params.get("inputs", {})),
            is_waited=bool(params.get("wait", True)),
        )

        def told(child: ExecutionId) -> None:
            ctx.sink.note(f"execution {child} of flow {call.flow}")

        if not call.is_waited:
            child = await self._calls().start(call)
            told(child)
            return NodeResult(outputs={EXECUTION_ID: child})
        ended = await self._calls().run(call, told)
        if ended.state is not ExecutionState.SUCCEEDED:
            raise _failed(ended)
        return NodeResult(outputs=ended.outputs or {})


def _name_of(value: Json) -> str:
    """Returns the name that was computed; what it is instead is data, so nothing quotes it."""
    if not isinstance(value, str) or not _FLOW_NAME.fullmatch(value):
        text = "'flow' gave no name of a flow"
        raise ExecutionError(
            text, code="flow_missing", details={"flow": str(value)[:_LONGEST_QUOTE]}
        )
    return value


def _failed(ended: Execution) -> ExecutionError:
    error = ended.error
    why = error.message if error else ended.reason
    details: dict[str, Json] = {
        EXECUTION_ID: ended.id,
        "flow": ended.flow.name,
        "state": str(ended.state),
        "reason": ended.reason,
        "error": error.code if error else None,
    }
    kind = EndedBeforeError if ended.reason == Reason.PARENT else ExecutionError
    return kind(
        f"the flow {ended.flow.name!r} {_ENDED[ended.state]}" + (f": {why}" if why else ""),
        code=f"flow_{ended.state}",
        details=details,
        quotes_data=error is not None and error.quotes_data,
    )


_ENDED = {
    ExecutionState.FAILED: "failed",
    ExecutionState.CANCELLED: "was cancelled",
    ExecutionState.TIMED_OUT: "timed out",
}
