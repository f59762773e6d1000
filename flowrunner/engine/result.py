"""The result of an execution: the flow's `outputs`, evaluated once all its nodes have ended.

Only a success has one. It follows from what is journaled, so that an end that a crash cut short
comes to the same result after the restart; `now()` is the end of the execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flowrunner.engine.scope import ContextScope, resolve
from flowrunner.errors import ExecutionError
from flowrunner.model.depth import TOO_DEEP, is_deeper
from flowrunner.model.execution import Execution, Failure
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json
from flowrunner.model.states import ExecutionState
from flowrunner.model.values import text_of

RESULT_LIMIT = 4 * 1024 * 1024
"""Bytes of all outputs of an execution, as JSON. Source: FLOW_FORMAT, section 4, outputs."""

_CODE = "output"


def with_outputs(ended: Execution, spec: FlowSpec, contexts: Mapping[str, Json]) -> Execution:
    """Returns an execution with its outputs, if it succeeded and its flow declares any.

    One whose outputs cannot be evaluated, are nested too deep or take more than 4 MiB, has failed
    (``output``).
    """
    if ended.state is not ExecutionState.SUCCEEDED or not spec.outputs:
        return ended
    moment = ended.ended_at or ended.created_at
    scope = ContextScope(contexts, lambda name: name in ("success", "always"), moment)
    outputs: dict[str, Json] = {}
    size = 0
    for name, value in spec.outputs.items():
        try:
            outputs[name] = resolve(value, scope)
        except ExecutionError as error:
            return _failed(ended, f"output {name}: {error.message}")
        if is_deeper(outputs[name]):
            return _failed(ended, f"output {name} {TOO_DEEP}")
        size += len(text_of([name, outputs[name]]).encode(errors="surrogatepass"))
        if size > RESULT_LIMIT:
            return _failed(ended, f"the outputs take more than {RESULT_LIMIT // 1024**2} MiB")
    return replace(ended, outputs=outputs)


def _failed(ended: Execution, message: str) -> Execution:
    failure = Failure(code=_CODE, message=message)
    return replace(ended, state=ExecutionState.FAILED, reason=_CODE, error=failure)
