"""Outputs that expressions read of a flow which has none of these names: the caller is told. Pure.

As with inputs the finding is the caller's, whichever of the two has changed, and it has the code
of an output that is missing within a file: such a value would always be null.
Source: FLOW_FORMAT 5, what is checked at load.
"""

from __future__ import annotations

from flowrunner.definitions import codes
from flowrunner.definitions.claims import START
from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.hints import meant_or_known
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.scene import Refusals, Scene


def refuse_outputs(scene: Scene) -> Refusals:
    """Returns the findings of every candidate that reads what a flow does not give back."""
    newly: Refusals = {}
    for key, spec in scene.versions.items():
        candidate = scene.newcomer(key) if spec.references.reads else None
        if candidate is None:
            continue
        found = tuple(
            _finding(candidate, read, target)
            for read in sorted(spec.references.reads)
            if (target := _target(scene, key, read)) is not None
        )
        if found:
            newly[key] = found
    return newly


def _target(scene: Scene, key: FlowKey, read: str) -> FlowSpec | None:
    """Returns the flow that lacks an output; None when it has that, or nobody knows."""
    flow, _, output = read.partition(".")
    target = scene.versions.get(FlowKey(key.account, flow))
    return None if target is None or output in target.outputs else target


def _finding(candidate: Candidate, read: str, target: FlowSpec) -> Finding:
    flow, _, output = read.partition(".")
    return candidate.claims.outputs.get(read, START).finding(
        codes.UNDECLARED_OUTPUT,
        f"the flow {flow!r} has no output {output!r}",
        file=candidate.file,
        hint=meant_or_known(output, target.outputs)
        or f"declare it there: outputs: {{{output}: …}}",
    )
