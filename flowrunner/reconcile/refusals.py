"""Who must not come into force, because of what other files say. Pure.

Each rule looks at the versions that would be in force together, and refuses newcomers. A flow
that is refused keeps its older version, and with it what that version claims; so the rules look
again until nobody else is refused. The rules: `hook_paths`, `flow_cycles`, `group_deadlocks`; and
when those have said all, `flow_inputs` and `flow_outputs`, which ask for the version of the flow
that is called.
`protection` has spoken before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from flowrunner.definitions.compiler import Candidate
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.flow_cycles import refuse_cycles
from flowrunner.reconcile.flow_inputs import refuse_inputs
from flowrunner.reconcile.flow_outputs import refuse_outputs
from flowrunner.reconcile.group_deadlocks import refuse_deadlocks
from flowrunner.reconcile.hook_paths import refuse_claimed_paths
from flowrunner.reconcile.scene import Refusals, Scene
from flowrunner.registry.entry import FlowEntry

_Rule: TypeAlias = Callable[[Scene], Refusals]
_RULES: tuple[_Rule, ...] = (refuse_claimed_paths, refuse_cycles, refuse_deadlocks)
_RULES_OF_CALLS: tuple[_Rule, ...] = (refuse_inputs, refuse_outputs)


def said_to_others(spec: FlowSpec | None) -> object:
    """Returns everything of a version that a rule looks at; a rule that needs more must add it.

    As long as nobody is refused, a version that says the same as the one before it harms nobody.
    """
    if spec is None:
        return None
    paths = frozenset(hook.path for hook in spec.webhooks)
    return (paths, spec.references, spec.inputs, frozenset(spec.outputs), spec.is_protected)


def refusals(
    keys: Iterable[FlowKey],
    candidates: Mapping[FlowKey, Candidate],
    observed: Mapping[FlowKey, FlowEntry],
    refused: Refusals,
) -> Refusals:
    """Returns the findings of every candidate that must not come into force.

    Args:
        keys: All flows that stay or come.
        candidates: Their new versions, as far as they have one.
        observed: The versions in force.
        refused: Who is refused already, for a reason that no other flow has to do with.
    """
    found: Refusals = dict(refused)
    staying = sorted(keys)
    while True:
        scene = Scene(keys=staying, candidates=candidates, observed=observed, refused=found)
        newly = _found(scene, _RULES) or _found(scene, _RULES_OF_CALLS)
        if not newly:
            return found
        found.update(newly)


def _found(scene: Scene, rules: Iterable[_Rule]) -> Refusals:
    newly: Refusals = {}
    for rule in rules:
        for key, findings in rule(scene).items():
            newly[key] = (*newly.get(key, ()), *findings)
    return newly
