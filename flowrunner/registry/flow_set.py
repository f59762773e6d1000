"""The flows that are in force together, as a value that knows what it differs in from another.

An edit makes a new set of ten thousand flows of which one has another entry. Who keeps the set
before, to learn what is new to him, would have to look at all of them; so a set remembers from
which it was made and by what, but keeps that one not alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import NoReturn

from flowrunner.model.ids import FlowKey
from flowrunner.registry.entry import FlowEntry


class FlowSet(dict[FlowKey, FlowEntry]):
    """Flows by key: a dict, since ten thousand are looked up again and again, that nobody changes.

    Args:
        entries: Are copied, as one block of memory: 80 µs for ten thousand flows.
        before: The set that this one takes the place of.
        changed: The keys that came, went or have another entry than in `before`.
    """

    def __init__(
        self,
        entries: Mapping[FlowKey, FlowEntry],
        before: FlowSet | None = None,
        changed: AbstractSet[FlowKey] = frozenset(),
    ) -> None:
        super().__init__(entries)
        self.mark = object()
        """Stands for this set in its successor, which would else keep all sets alive."""
        self._before = None if before is None else before.mark
        self._changed = changed
        self._ready: int | None = None

    @property
    def ready_count(self) -> int:
        """How many flows are ready; counted once, since the idle daemon asks every few seconds."""
        if self._ready is None:
            self._ready = sum(1 for entry in self.values() if entry.is_ready)
        return self._ready

    def with_edits(self, edits: Mapping[FlowKey, FlowEntry]) -> FlowSet:
        """Returns a set with other entries of flows that are in this one.

        Raises:
            KeyError: One is not: its place in the order is not known.
        """
        changed = frozenset(key for key, entry in edits.items() if self[key] is not entry)
        entries = self.copy()
        entries.update(edits)
        edited = FlowSet(entries, self, changed)
        if self._ready is not None:
            news = (edited[key].is_ready - self[key].is_ready for key in changed)
            edited._ready = self._ready + sum(news)
        return edited

    def changed_since(self, before: Mapping[FlowKey, FlowEntry]) -> AbstractSet[FlowKey] | None:
        """Returns the keys that differ, if this set took the place of that very one."""
        is_next = isinstance(before, FlowSet) and before.mark is self._before
        return self._changed if is_next else None

    def __setitem__(self, key: FlowKey, entry: FlowEntry) -> NoReturn:
        raise TypeError("who reads a set of flows does not change it")

    def __delitem__(self, key: FlowKey) -> NoReturn:
        raise TypeError("who reads a set of flows does not change it")


def with_edits(
    entries: Mapping[FlowKey, FlowEntry], edits: Mapping[FlowKey, FlowEntry]
) -> Mapping[FlowKey, FlowEntry]:
    """Returns flows with other entries of some of them."""
    return entries.with_edits(edits) if isinstance(entries, FlowSet) else {**entries, **edits}
