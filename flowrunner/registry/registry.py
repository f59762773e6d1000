"""The in-memory registry: replaced whole, in one turn of the loop, and read by everyone.

Readers always see the set of one pass: entries are immutable and the mapping is swapped, never
changed in place. Only reconcile's apply writes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from flowrunner.errors import NotFoundError
from flowrunner.model.flow import ConcurrencySpec
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

    def require(self, key: FlowKey) -> FlowEntry:
        """Returns one flow; raises `NotFoundError`, with the name that was probably meant."""
        entry = self._entries.get(key)
        if entry is None:
            names = [known.name for known in self._entries if known.account == key.account]
            close = difflib.get_close_matches(key.name, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise NotFoundError(f"there is no flow {key}{hint}")
        return entry

    def replace(self, entries: Mapping[FlowKey, FlowEntry]) -> None:
        """Puts a new set in force."""
        self._entries = MappingProxyType(dict(sorted(entries.items())))

    def rules_of(self, key: FlowKey) -> ConcurrencySpec | None:
        """Returns the concurrency of the version in force; None when the flow is gone."""
        entry = self._entries.get(key)
        return entry.spec.concurrency if entry and entry.spec else None
