"""Plans that follow from the one before: ten thousand flows are not judged anew for one edit.

The long way, `make_plan`, looks at every file and every rule between them. It can be spared when
the pass before was carried out and the same files are there, each with its name, and those that
changed say to others what the versions in force say. Whatever else happens takes the long way, and
both ways lead to the same plan, which a property test shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from flowrunner.dataclass import dataclass
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.plan import Plan, faulty_of, make_plan, next_entry, unchanged
from flowrunner.reconcile.reading import ScannedFile
from flowrunner.reconcile.refusals import said_to_others
from flowrunner.reconcile.scan import Snapshot
from flowrunner.reconcile.unknown_flows import unknown_flows
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.flow_set import with_edits

_MOST_EDITS = 1_000
"""Edits of one pass beyond which the short way is no longer the shorter one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Basis:
    """What a pass that was carried out had planned, and from what."""

    snapshot: Snapshot
    plan: Plan


class Planner:
    """Plans passes, one after the other; used by one thread at a time."""

    def __init__(self) -> None:
        self._basis: _Basis | None = None

    def plan(
        self,
        snapshot: Snapshot,
        observed: Mapping[FlowKey, FlowEntry],
        released: AbstractSet[FlowKey] = frozenset(),
    ) -> Plan:
        """Returns what the snapshot means against the flows in force; see `make_plan`."""
        basis = self._basis
        if snapshot.recalled is not None:
            return unchanged(observed, snapshot.recalled)
        if released:
            return make_plan(snapshot, observed, released)
        if basis is None or not _is_like(snapshot, basis.snapshot):
            return make_plan(snapshot, observed)
        edited = _edited(basis.snapshot, snapshot)
        if edited is None:
            return make_plan(snapshot, observed)
        if edited and not basis.plan.is_plain:
            return make_plan(snapshot, observed)
        return _replanned(basis.plan, edited, snapshot, observed) or make_plan(snapshot, observed)

    def carried_out(self, snapshot: Snapshot, plan: Plan) -> None:
        """Learns that the plan is in force: the next one may follow from it, if it saw files."""
        self._basis = (
            None if snapshot.recalled is not None else _Basis(snapshot=snapshot, plan=plan)
        )

    @property
    def is_sure(self) -> bool:
        """Whether it is known from which files follows what is in force."""
        return self._basis is not None

    @property
    def plain(self) -> Snapshot | None:
        """What is in force follows from, if each of its files has its flow; else None."""
        basis = self._basis
        is_plain = basis is not None and basis.plan.is_plain and not basis.plan.rejected
        return basis.snapshot if basis is not None and is_plain else None

    def forget(self) -> None:
        """Learns that nobody knows what is in force: the next plan goes the long way."""
        self._basis = None


def _is_like(snapshot: Snapshot, before: Snapshot) -> bool:
    """Whether what concerns more than one file is as before."""
    is_same_above = snapshot.defaults is before.defaults or snapshot.defaults == before.defaults
    is_same_count = len(snapshot.files) == len(before.files)
    return snapshot.is_whole == before.is_whole and is_same_above and is_same_count


def _edited(before: Snapshot, after: Snapshot) -> list[ScannedFile] | None:
    """Returns the files that changed; None when one came, went, or has another name."""
    if before.files is after.files:
        return []
    if after.glance is not None and after.glance.before is before.files:
        pairs = list(after.glance.edits)
    else:
        both = zip(before.files, after.files, strict=True)
        pairs = [(old, new) for old, new in both if old is not new]
    is_simple = len(pairs) <= _MOST_EDITS and all(
        old.candidate.file == new.candidate.file
        and old.candidate.name is not None
        and old.candidate.name == new.candidate.name
        for old, new in pairs
    )
    return [new for _, new in pairs] if is_simple else None


def _replanned(
    before: Plan,
    edited: list[ScannedFile],
    snapshot: Snapshot,
    observed: Mapping[FlowKey, FlowEntry],
) -> Plan | None:
    """Returns the plan for some edits; None when one says something else to other flows."""
    edits: dict[FlowKey, FlowEntry] = {}
    changed: set[FlowKey] = set()
    for file in edited:
        candidate = file.candidate
        key = file.key
        old = observed.get(key) if key else None
        if key is None or old is None:
            return None
        if candidate.spec and said_to_others(candidate.spec) != said_to_others(old.spec):
            return None
        advised = (
            unknown_flows(observed, {key: candidate}).get(key, ())
            if snapshot.is_whole and _names_unknown(key, candidate, observed)
            else ()
        )
        entry = edits[key] = next_entry(key, file, old, snapshot.revision, advised)
        if entry.spec is not None and entry.digest != old.digest:
            changed.add(key)
    return Plan(
        entries=with_edits(observed, edits),
        changed=frozenset(changed),
        rejected=before.rejected,
        touched=frozenset(edits),
        is_plain=before.is_plain,
        is_glance=snapshot.glance is not None,
        faulty=(before.faulty - edits.keys()) | faulty_of(edits),
    )


def _names_unknown(
    key: FlowKey, candidate: Candidate, observed: Mapping[FlowKey, FlowEntry]
) -> bool:
    """Whether a flow names another that is not there: most do not, and then nobody is searched."""
    names = candidate.spec.references.names if candidate.spec else ()
    return any(FlowKey(key.account, name) not in observed for name in names)
