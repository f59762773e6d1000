"""What the last pass of a life ended with, kept for the next: what finds the same can say so.

A plan follows from the names and facts of the source, the flows in force, the accounts of the
settings, the month and the code. While all of that is as a pass has left it that changed nothing
and refused nobody, another pass would change nothing either, and the first one of a life need not
judge ten thousand files to know. All of it stands under one hash, the code in the name of the
store. What this host has to say of flows (secrets, users, pauses, labels) is no part of a plan and
is asked at each start.

The pass after it takes the long way, as every pass does of which nothing is known.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from typing import Protocol

from flowrunner.definitions.cache_lines import Store, checked_lines, finding_from, sealed, told
from flowrunner.model.accounts import AccountMap
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey, Json, Revision
from flowrunner.reconcile.scan import Scanner, Snapshot
from flowrunner.reconcile.tree import (
    Look,
    LookAgainError,
    UnstableSourceError,
    UnusableSourceError,
)
from flowrunner.registry.entry import FlowEntry
from flowrunner.system.clock import Clock

_Flows = Mapping[FlowKey, FlowEntry]


class KeepsBasis(Protocol):
    """Knows what the last pass has ended with, in this life or the one before. Blocks."""

    def recalled(self, root: Path, observed: _Flows) -> Snapshot | None:
        """Returns the source if everything is as it was kept; None in any doubt."""

    def keep(self, snapshot: Snapshot, entries: _Flows) -> None:
        """Keeps what a pass has ended with that refused nobody."""


class NoBasis:
    """Knows nothing: the first pass judges everything."""

    def recalled(self, root: Path, observed: _Flows) -> Snapshot | None:  # noqa: ARG002 - of none
        """Returns None."""
        return None

    def keep(self, snapshot: Snapshot, entries: _Flows) -> None:
        """Keeps nothing."""


class StoredBasis:
    """Meets `KeepsBasis` over a store of this generation of the code."""

    def __init__(self, scanner: Scanner, store: Store, accounts: AccountMap, clock: Clock) -> None:
        self._scanner = scanner
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._kept = b""

    def recalled(self, root: Path, observed: _Flows) -> Snapshot | None:
        """Returns the source, without its files, if everything is as it was kept."""
        data = self._store.load() or b""
        lines = list(checked_lines(data))
        if len(lines) < _HEAD or not observed:
            return None
        try:
            look = self._scanner.look(root)
        except (OSError, LookAgainError, UnstableSourceError, UnusableSourceError):
            return None  # the long way finds it again, and has a name for it
        told = {FlowKey(*each[:2]): each[2:] for each in map(json.loads, lines[_HEAD:])}
        if look is None or lines[0] != self._key(look, observed, told.keys()):
            return None
        self._kept = data
        said = {key: _said(observed[key], *each) for key, each in told.items()}
        return Snapshot(revision=Revision(lines[1].decode()), files=(), recalled=said)

    def keep(self, snapshot: Snapshot, entries: _Flows) -> None:
        """Keeps a pass if no file of it may change unseen, and each flow is what its file says."""
        look = self._scanner.looked(snapshot)
        if look is None or not all(map(_is_in_force, entries.values())):
            return
        said = {key: _told(entry) for key, entry in entries.items() if entry.findings}
        key = self._key(look, entries, said.keys())
        data = sealed([key, snapshot.revision.encode(), *said.values()])
        if data != self._kept:
            self._store.save(data)
            self._kept = data

    def _key(self, look: Look, entries: _Flows, told: AbstractSet[FlowKey]) -> bytes:
        return basis_key(look, entries, told, self._accounts, self._clock.now())


def basis_key(
    look: Look,
    entries: _Flows,
    told: AbstractSet[FlowKey],
    accounts: AccountMap,
    now: datetime,
) -> bytes:
    """Returns the hash of all that a plan follows from, but for the code.

    `told` are the flows of which content and findings are kept beside it.
    """
    said = (
        str(look.root),
        look.revision,
        look.ignored,
        sorted(accounts.folders.items()),
        sorted((key, sorted(types)) for key, types in accounts.node_types.items()),
        sorted(accounts.roots.items()),
        f"{now:%Y-%m}",  # by which findings about dates hold
    )
    lines = [
        json.dumps(said),
        *[_NAME % (entry.path, *entry.stat) for entry in look.entries],
        "",
        *[_flow_line(entry, is_told=key in told) for key, entry in entries.items()],
    ]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest().encode()


_NAME = "%s\0%s %d %d %d %d %d"
"""Path and facts of a name, in which there is no NUL; a line break in a path ends no facts."""


def _flow_line(entry: FlowEntry, *, is_told: bool) -> str:
    """Returns all of an entry that a plan looks at and that is not kept beside the key."""
    account, name = entry.key
    content = "" if is_told else entry.content
    numbers = f"{entry.generation} {entry.observed_generation}"
    told = (account, name, entry.path, entry.digest, entry.revision, content, numbers)
    return "\0".join(told)


def _is_in_force(entry: FlowEntry) -> bool:
    """Whether a start finds the entry by its record, but for warnings."""
    is_newest = entry.spec is not None and entry.generation == entry.observed_generation
    return is_newest and bool(entry.content) and not any(f.is_error for f in entry.findings)


def _told(entry: FlowEntry) -> bytes:
    """Returns content and warnings of a flow as text."""
    findings = [told(finding, entry.path) for finding in entry.findings]
    return json.dumps([*entry.key, entry.content, findings]).encode()


def _said(
    entry: FlowEntry, content: str, findings: list[dict[str, Json]]
) -> tuple[str, tuple[Finding, ...]]:
    """Returns what `_told` has told of a flow that is in force."""
    return content, tuple(finding_from(entry.path, finding) for finding in findings)


_HEAD = 2
"""Lines before what is told of flows: the key, and the revision of the source."""
