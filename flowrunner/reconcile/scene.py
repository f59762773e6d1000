"""What a rule between files looks at: the versions that would be in force together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TypeAlias

from flowrunner.dataclass import dataclass
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.registry.entry import FlowEntry

Refusals: TypeAlias = dict[FlowKey, tuple[Finding, ...]]
"""The findings that keep candidates out."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All flows as they would be if nobody but the refused were refused.

    Attributes:
        keys: All flows that stay or come, sorted.
        candidates: Their new versions, as far as they have one.
        observed: The versions in force.
        refused: Who is refused already.
    """

    keys: Sequence[FlowKey]
    candidates: Mapping[FlowKey, Candidate]
    observed: Mapping[FlowKey, FlowEntry]
    refused: Refusals

    @cached_property
    def versions(self) -> dict[FlowKey, FlowSpec]:
        """The version of each flow that has one, in the order of the keys."""
        specs = ((key, self._spec(key)) for key in self.keys)
        return {key: spec for key, spec in specs if spec is not None}

    def before(self, key: FlowKey) -> FlowSpec | None:
        """Returns the version in force of a flow."""
        entry = self.observed.get(key)
        return entry.spec if entry else None

    def newcomer(self, key: FlowKey) -> Candidate | None:
        """Returns the candidate of a flow if it can still be refused."""
        candidate = self.candidates.get(key)
        if candidate is None or candidate.spec is None or key in self.refused:
            return None
        return candidate

    def _spec(self, key: FlowKey) -> FlowSpec | None:
        newcomer = self.newcomer(key)
        return newcomer.spec if newcomer else self.before(key)
