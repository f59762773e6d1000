"""The in-memory registry: replaced whole, in one turn of the loop, and read by everyone.

Readers always see the set of one pass: entries are immutable and the mapping is swapped, never
changed in place. Only reconcile's apply writes it. Pauses stand beside the entries, because they
come from persons and not from the source.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice

from flowrunner.errors import NotFoundError
from flowrunner.model.flow import FlowSpec, RetentionSpec, StartRules
from flowrunner.model.host import lacking_labels
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.model.pause import Pause
from flowrunner.model.states import Reason
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry, SourceStatus
from flowrunner.registry.flow_set import FlowSet

SETTINGS_HOLD = RetentionSpec()


class FlowRegistry:
    """Flows by key, in key order, and the status of their source.

    Args:
        accounts: Those that the settings name.
        labels: Those of this host.
    """

    def __init__(
        self, accounts: Iterable[str] = (), labels: AbstractSet[str] = frozenset()
    ) -> None:
        self._accounts = tuple(accounts)
        self._labels = labels
        self._entries = FlowSet({})
        self._keys: tuple[FlowKey, ...] = ()
        self._pauses: dict[FlowKey, Pause] = {}
        self.source = SourceStatus()
        self.revision_of: Callable[[FlowEntry], Revision] = lambda entry: entry.revision
        """The revision of an execution of a flow that is created now; a source may know better."""

    @property
    def entries(self) -> Mapping[FlowKey, FlowEntry]:
        """All flows; a snapshot that later passes do not touch."""
        return self._entries

    @property
    def ready_count(self) -> int:
        """How many flows are ready; at no cost from the second time on."""
        return self._entries.ready_count

    def by_account(self) -> dict[str, list[FlowEntry]]:
        """Returns the flows of each account: of those in the settings, and of others with flows."""
        found: dict[str, list[FlowEntry]] = {name: [] for name in self._accounts}
        for key, entry in self._entries.items():
            found.setdefault(key.account, []).append(entry)
        return found

    def get(self, key: FlowKey) -> FlowEntry | None:
        """Returns one flow, or None."""
        return self._entries.get(key)

    def after(self, key: FlowKey | None) -> Iterator[FlowEntry]:
        """Yields the flows behind a key, or all, in key order; a snapshot, as `entries` is."""
        entries, keys = self._entries, self._keys
        first = 0 if key is None else bisect_right(keys, key)
        return (entries[key] for key in islice(keys, first, None))

    def require(self, key: FlowKey) -> FlowEntry:
        """Returns one flow; raises `NotFoundError`, with the name that was probably meant."""
        entry = self._entries.get(key)
        if entry is None:
            names = [known.name for known in self._entries if known.account == key.account]
            close = difflib.get_close_matches(key.name, names, n=1)
            elsewhere = [known.account for known in self._entries if known.name == key.name]
            hint = f"; did you mean {close[0]!r}?" if close else ""
            hint = f"; account {elsewhere[0]} has one of this name" if elsewhere else hint
            raise NotFoundError(f"there is no flow {key}{hint}")
        return entry

    def replace(self, entries: Mapping[FlowKey, FlowEntry]) -> None:
        """Puts a new set in force."""
        keys = tuple(entries)
        if keys != self._keys:
            keys = tuple(sorted(keys))
        ordered = {key: entries[key] for key in keys}
        self._entries = FlowSet(ordered, self._entries, changed_keys(self._entries, ordered))
        self._keys = keys

    def edit(self, edits: Mapping[FlowKey, FlowEntry]) -> None:
        """Puts other entries of flows in force that are in force, and looks at no other one."""
        self._entries = self._entries.with_edits(edits)

    def rules_of(self, key: FlowKey) -> StartRules | None:
        """Returns what the version in force says about starts; None when the flow is gone."""
        entry = self._entries.get(key)
        if entry is None or entry.spec is None:
            return None
        is_held = entry.spec.is_suspended or key in self._pauses
        return StartRules(concurrency=entry.spec.concurrency, is_held=is_held)

    def lacking_labels(self, spec: FlowSpec | None) -> tuple[str, ...]:
        """Returns which labels this host lacks for a flow; with any, it runs on another host."""
        return lacking_labels(spec.runs_on, self._labels) if spec and spec.runs_on else ()

    def retentions(self) -> dict[FlowKey, RetentionSpec]:
        """Returns what the versions in force say about how much is kept, where they say it."""
        return {
            key: entry.spec.retention
            for key, entry in self._entries.items()
            if entry.spec is not None and entry.spec.retention != SETTINGS_HOLD
        }

    def pause_of(self, key: FlowKey) -> Pause | None:
        """Returns the pause of a flow, or None."""
        return self._pauses.get(key)

    def set_pause(self, key: FlowKey, pause: Pause | None) -> None:
        """Pauses a flow, or ends its pause; its conditions are for reconcile to renew."""
        if pause is None:
            self._pauses.pop(key, None)
        else:
            self._pauses[key] = pause

    @property
    def pauses(self) -> Mapping[FlowKey, Pause]:
        """The flows that are paused; also those that are not in force."""
        return self._pauses

    def hold_of(self, key: FlowKey) -> Reason | None:
        """Returns why a flow is kept from starting: `suspended`, `paused`, or None: it is not."""
        entry = self._entries.get(key)
        if entry is not None and entry.spec is not None and entry.spec.is_suspended:
            return Reason.SUSPENDED
        return Reason.PAUSED if key in self._pauses else None
