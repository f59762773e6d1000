"""Webhook paths claimed by more than one flow: who keeps one, who is refused. Pure.

A path belongs to the flow whose version in force has it, whatever became of that flow's file;
a newcomer is refused and keeps its own version in force.
"""

from __future__ import annotations

from typing import TypeAlias

from flowrunner.definitions import codes
from flowrunner.definitions.claims import START
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.rivals import others
from flowrunner.reconcile.scene import Refusals, Scene

_Place: TypeAlias = tuple[str, str]
"""Account and path."""


def refuse_claimed_paths(scene: Scene) -> Refusals:
    """Returns the findings of every candidate that claims a path of somebody else."""
    owners: dict[_Place, list[FlowKey]] = {}
    for key, spec in scene.versions.items():
        for place in _places(key, spec):
            owners.setdefault(place, []).append(key)
    newly: Refusals = {}
    for place, keys in owners.items():
        if len(keys) == 1:
            continue
        holder = next((k for k in keys if place in _places(k, scene.before(k))), None)
        names = sorted(key.name for key in keys)
        for key in keys:
            candidate = scene.newcomer(key)
            if key == holder or candidate is None:
                continue
            rivals = holder.name if holder else others(key.name, names)
            newly[key] = (*newly.get(key, ()), _finding(candidate, place[1], rivals))
    return newly


def _places(key: FlowKey, spec: FlowSpec | None) -> set[_Place]:
    return {(key.account, hook.path) for hook in spec.webhooks} if spec else set()


def _finding(candidate: Candidate, path: str, rivals: str) -> Finding:
    return candidate.claims.hooks.get(path, START).finding(
        codes.WEBHOOK_PATH_TAKEN,
        f"the webhook path {path!r} is claimed by the flow {rivals} too",
        file=candidate.file,
        hint="choose another path",
    )
