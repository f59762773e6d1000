"""The in-memory registry: replaced whole, in one turn of the loop, and read by everyone.

Readers always see the set of one pass: entries are immutable and the mapping is swapped, never
changed in place. Only reconcile's apply writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flowrunner.model.flow import StartRules
from flowrunner.model.ids import FlowKey
from flowrunner.registry.entry import FlowEntry, SourceStatus


class FlowRegistry:
    """Flows by key, in key order, and the status of their source."""

    def __init__(self) -> None:
        self._entries: Mapping[FlowKey, FlowEntry] = MappingProxyType({})
        self.source = SourceStatus()

    @property
    def entries(self) -> Mapping[FlowKey, FlowEntry]:
        """All flows; a snapshot that later passes do not touch."""
        return self._entries

    def get(self, key: FlowKey) -> FlowEntry | None:
        """Returns one flow, or None."""
        return self._entries.get(key)

    def replace(self, entries: Mapping[FlowKey, FlowEntry]) -> None:
        """Puts a new set in force."""
        self._entries = MappingProxyType(dict(sorted(entries.items())))

    def rules_of(self, key: FlowKey) -> StartRules | None:
        """Returns what the version in force says about starts; None when the flow is gone."""
        entry = self._entries.get(key)
        if entry is None or entry.spec is None:
            return None
        return StartRules(concurrency=entry.spec.concurrency)
