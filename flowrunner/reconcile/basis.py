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
from datetime import datetime
from pathlib import Path
from typing import Protocol

from flowrunner.definitions.cache_lines import Store, checked_lines, sealed
from flowrunner.model.accounts import AccountMap
from flowrunner.model.ids import FlowKey, Revision
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
        lines = checked_lines(data)
        if len(lines) != 2 or not observed:  # noqa: PLR2004 - as `keep` writes them
            return None
        try:
            look = self._scanner.look(root)
        except (OSError, LookAgainError, UnstableSourceError, UnusableSourceError):
            return None  # the long way finds it again, and has a name for it
        if look is None or lines[0] != self._key(look, observed):
            return None
        self._kept = data
        return Snapshot(revision=Revision(lines[1].decode()), files=(), is_recalled=True)

    def keep(self, snapshot: Snapshot, entries: _Flows) -> None:
        """Keeps a pass if no file of it may change unseen, and no flow has anything to say."""
        look = self._scanner.looked(snapshot)
        if look is None or not all(map(_is_clean, entries.values())):
            return
        data = sealed([self._key(look, entries), snapshot.revision.encode()])
        if data != self._kept:
            self._store.save(data)
            self._kept = data

    def _key(self, look: Look, entries: _Flows) -> bytes:
        return basis_key(look, entries, self._accounts, self._clock.now())


def basis_key(look: Look, entries: _Flows, accounts: AccountMap, now: datetime) -> bytes:
    """Returns the hash of all that a plan follows from, but for the code."""
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
        *map(_flow_line, entries.values()),
    ]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest().encode()


_NAME = "%s\0%s %d %d %d %d %d"
"""Path and facts of a name, in which there is no NUL; a line break in a path ends no facts."""


def _flow_line(entry: FlowEntry) -> str:
    """Returns all of an entry that a plan looks at; its findings are none."""
    account, name = entry.key
    numbers = f"{entry.generation} {entry.observed_generation}"
    told = (account, name, entry.path, entry.digest, entry.revision, entry.content, numbers)
    return "\0".join(told)


def _is_clean(entry: FlowEntry) -> bool:
    """Whether a start finds the entry by its record alone."""
    is_in_force = entry.spec is not None and entry.generation == entry.observed_generation
    return is_in_force and not entry.findings and bool(entry.content)
