"""Flows that say `protect: true`: they neither leave nor cease to say so without approval. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.scene import Refusals
from flowrunner.registry.entry import FlowEntry

_HINT = "approve it with flowrunner reconcile --allow-prune, or "


def protected_of(
    keys: Iterable[FlowKey], observed: Mapping[FlowKey, FlowEntry], released: AbstractSet[FlowKey]
) -> frozenset[FlowKey]:
    """Returns which of the flows in force may not leave."""
    return frozenset(key for key in keys if _is_protected(observed[key]) and key not in released)


def refuse_bare(
    candidates: Mapping[FlowKey, Candidate],
    observed: Mapping[FlowKey, FlowEntry],
    released: AbstractSet[FlowKey],
) -> Refusals:
    """Returns the findings of new versions that say `protect` no more; the old ones stay."""
    found: Refusals = {}
    for key, old in observed.items():
        if not _is_protected(old) or key in released:
            continue
        candidate = candidates.get(key)
        if candidate is not None and candidate.spec and not candidate.spec.is_protected:
            finding = candidate.claims.name.finding(
                codes.PROTECTED_FLOW,
                "the file says protect: true no more; the flow stays as it was until that is "
                "approved",
                file=candidate.file,
                hint=f"{_HINT}write protect: true again",
            )
            found[key] = (finding,)
    return found


def missed(entry: FlowEntry) -> Finding:
    """Returns why a protected flow without a file is still there."""
    return Finding(
        file=entry.path,
        code=codes.PROTECTED_FLOW.code,
        message="the file is gone; its flow says protect: true and stays until that is approved",
        hint=f"{_HINT}bring the file back",
    )


def _is_protected(entry: FlowEntry) -> bool:
    return entry.spec is not None and entry.spec.is_protected
