"""Inputs that a node brings to another flow and that this does not take: the caller is told. Pure.

The caller, whichever of the two has changed: there the mistake can be pointed at, and its last
good version stays in force. What expressions give is known when the node runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.definitions import codes
from flowrunner.definitions.claims import START
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.hints import meant_or_known
from flowrunner.errors import ValidationError
from flowrunner.model.finding import Finding, pointer_of
from flowrunner.model.flow import FlowSpec, InputSpec
from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.references import Call
from flowrunner.model.values import convert_text, problem_with
from flowrunner.reconcile.scene import Refusals, Scene


def refuse_inputs(scene: Scene) -> Refusals:
    """Returns the findings of every candidate that calls a flow with inputs it does not take."""
    newly: Refusals = {}
    for key, spec in scene.versions.items():
        candidate = scene.newcomer(key) if spec.references.calls else None
        if candidate is None:
            continue
        found = tuple(
            finding
            for call in spec.references.calls
            if (target := scene.versions.get(FlowKey(key.account, call.flow))) is not None
            for finding in _of_call(candidate, call, target)
        )
        if found:
            newly[key] = found
    return newly


def _of_call(candidate: Candidate, call: Call, target: FlowSpec) -> Iterator[Finding]:
    for name, value in call.inputs.items():
        declared = target.inputs.get(name)
        path = (*call.path, "inputs", name)
        if declared is None:
            message = f"the flow {call.flow!r} has no input {name!r}"
            yield _finding(candidate, path, message, meant_or_known(name, target.inputs))
        elif name in call.literals and (problem := _problem(value, declared)):
            yield _finding(candidate, path, f"the input {name!r} of {call.flow!r} {problem}")
    for name, declared in target.inputs.items():
        if declared.required and name not in call.inputs:
            message = f"the flow {call.flow!r} needs the input {name!r}"
            hint = f"add it: inputs: {{{name}: …}}"
            yield _finding(candidate, (*call.path, "flow"), message, hint)


def _problem(value: Json, declared: InputSpec) -> str | None:
    """Returns what is wrong with a literal, converted as it is when the flow is started."""
    if isinstance(value, str):
        try:
            value = convert_text(value, declared.type)
        except ValidationError as error:
            return error.message
    return problem_with(value, declared)


def _finding(
    candidate: Candidate, path: tuple[str | int, ...], message: str, hint: str = ""
) -> Finding:
    place = candidate.claims.calls.get(pointer_of(path), START)
    return place.finding(codes.CALL_INPUTS, message, file=candidate.file, hint=hint)
