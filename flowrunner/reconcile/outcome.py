"""How a pass ends: what an approval lets leave, and what is counted of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flowrunner.errors import RefusedError
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.plan import Plan
from flowrunner.registry.entry import FlowEntry, PassResult, PruneHold


def let_go(approved: PruneHold | None, revision: Revision) -> frozenset[FlowKey]:
    """Returns the flows that may leave: an approval is for one revision."""
    is_same = approved is not None and approved.revision == revision
    return frozenset(approved.flows) if approved and is_same else frozenset()


def moved(shown: Revision, hold: PruneHold) -> RefusedError:
    """Returns the refusal of an approval: the source is another one than was shown."""
    text = f"what is held is not {shown}, but {hold.revision}: {hold.message}"
    return RefusedError(text, code="prune.moved")


def counted(
    result: PassResult,
    plan: Plan,
    before: Mapping[FlowKey, FlowEntry],
    revision: Revision,
    *,
    changed: bool,
) -> PassResult:
    """Returns the result of a pass whose plan was carried out."""
    added = sum(1 for key in plan.changed if key not in before)
    return replace(
        result,
        result="applied" if changed else "unchanged",
        revision=revision,
        added=added,
        updated=len(plan.changed) - added,
        removed=len(plan.removed),
        errors=plan.errors,
    )
