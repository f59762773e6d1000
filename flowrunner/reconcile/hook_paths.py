"""Webhook paths claimed by more than one flow: who keeps one, who is refused. Pure.

A path belongs to the flow whose version in force has it, whatever became of that flow's file;
a newcomer is refused and keeps its own version in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.rivals import others
from flowrunner.registry.entry import FlowEntry

Refusals: TypeAlias = dict[FlowKey, tuple[Finding, ...]]
_Place: TypeAlias = tuple[str, str]
"""Account and path."""


def refusals(
    keys: Iterable[FlowKey],
    candidates: Mapping[FlowKey, Candidate],
    observed: Mapping[FlowKey, FlowEntry],
) -> Refusals:
    """Returns the findings of every candidate that must not come into force.

    A flow that is refused keeps its older version, and with it paths that another candidate may
    claim; so this looks again until nobody else is refused.

    Args:
        keys: All flows that stay or come.
        candidates: Their new versions, as far as they have one.
        observed: The versions in force.
    """
    found: Refusals = {}
    staying = sorted(keys)
    while True:
        newly = _refuse(_owners(staying, candidates, observed, found), candidates, observed, found)
        if not newly:
            return found
        found.update(newly)


def _owners(
    keys: Iterable[FlowKey],
    candidates: Mapping[FlowKey, Candidate],
    observed: Mapping[FlowKey, FlowEntry],
    refused: Refusals,
) -> dict[_Place, list[FlowKey]]:
    """Returns who would serve each path if nobody else were refused."""
    owners: dict[_Place, list[FlowKey]] = {}
    for key in keys:
        candidate = candidates.get(key)
        spec = candidate.spec if candidate is not None and key not in refused else None
        for place in _places(key, spec or _spec(observed.get(key))):
            owners.setdefault(place, []).append(key)
    return owners


def _refuse(
    owners: Mapping[_Place, list[FlowKey]],
    candidates: Mapping[FlowKey, Candidate],
    observed: Mapping[FlowKey, FlowEntry],
    refused: Refusals,
) -> Refusals:
    newly: Refusals = {}
    for place, keys in owners.items():
        if len(keys) == 1:
            continue
        holder = next((k for k in keys if place in _places(k, _spec(observed.get(k)))), None)
        names = sorted(key.name for key in keys)
        for key in keys:
            candidate = candidates.get(key)
            if key == holder or candidate is None or candidate.spec is None or key in refused:
                continue
            rivals = holder.name if holder else others(key.name, names)
            newly[key] = (*newly.get(key, ()), _finding(candidate, place[1], rivals))
    return newly


def _places(key: FlowKey, spec: FlowSpec | None) -> set[_Place]:
    return {(key.account, hook.path) for hook in spec.webhooks} if spec else set()


def _spec(entry: FlowEntry | None) -> FlowSpec | None:
    return entry.spec if entry else None


def _finding(candidate: Candidate, path: str, rivals: str) -> Finding:
    return Finding(
        file=candidate.file,
        line=1,
        column=1,
        code=codes.WEBHOOK_PATH_TAKEN.code,
        message=f"the webhook path {path!r} is claimed by the flow {rivals} too",
        hint="choose another path",
    )
