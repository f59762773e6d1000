"""Desired times observed: what a snapshot means for the registry. Pure.

Names are judged over the whole candidate set, so two files may swap names. A file that holds a
name keeps it against newcomers; where nobody held it, none of the claimants gets it. A file
whose name cannot be read any more stands for the flow it held before; and as long as there is
one, no flow of its account is removed: what vanished may be in it, moved and broken in one change.

The account of a file is that of its folder. A file whose folder has none is no flow and holds none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from functools import partial

from flowrunner.dataclass import dataclass
from flowrunner.definitions import codes
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.reconcile.protection import missed, protected_of, refuse_bare
from flowrunner.reconcile.refusals import refusals
from flowrunner.reconcile.rivals import others
from flowrunner.reconcile.scan import ScannedFile, Snapshot
from flowrunner.reconcile.unknown_flows import unknown_flows
from flowrunner.registry.entry import FlowEntry, RejectedFile
from flowrunner.registry.flow_set import with_edits


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The registry as it should be, and what changes on the way there.

    Attributes:
        entries: The whole new set; conditions are set by apply.
        changed: Keys whose version in force is new or different.
        removed: Keys that leave.
        missed: Keys of protected flows that would leave.
        bare: Keys of flows whose new version would end their protection.
        touched: Keys whose entry may be another one than in force; None when any may be.
        is_glance: Whether nothing but what is touched was looked at.
        is_read: Whether it says what the source is; else it keeps what is in force.
        is_plain: Whether no file's fate hung on another file; see `flowrunner.reconcile.replan`.
        faulty: Keys of flows with a finding that is an error.
    """

    entries: Mapping[FlowKey, FlowEntry]
    changed: frozenset[FlowKey] = frozenset()
    removed: frozenset[FlowKey] = frozenset()
    missed: frozenset[FlowKey] = frozenset()
    bare: frozenset[FlowKey] = frozenset()
    rejected: tuple[RejectedFile, ...] = ()
    touched: frozenset[FlowKey] | None = None
    is_plain: bool = False
    is_glance: bool = False
    is_read: bool = True
    faulty: frozenset[FlowKey] = frozenset()

    @property
    def errors(self) -> int:
        """Findings that keep a file, or its new version, out; one for many flows counts once."""
        findings = {f for key in self.faulty for f in self.entries[key].findings}
        findings.update(f for file in self.rejected for f in file.findings)
        return sum(1 for finding in findings if finding.is_error)


def keep_all(observed: Mapping[FlowKey, FlowEntry]) -> Plan:
    """Returns the plan of a pass that must not change anything the source says."""
    return Plan(entries=observed, is_read=False)


def unchanged(
    observed: Mapping[FlowKey, FlowEntry], said: Mapping[FlowKey, tuple[str, tuple[Finding, ...]]]
) -> Plan:
    """Returns the plan for a source that is known to say what is in force.

    `said` has the content and the warnings of files that have some, which no record knows.
    """
    edits = {
        key: replace(observed[key], content=content, findings=findings)
        for key, (content, findings) in said.items()
    }
    entries = with_edits(observed, edits)
    return Plan(entries=entries, touched=frozenset(edits), is_plain=True, is_glance=True)


@dataclass(slots=True)
class _Names:
    """Who claims which name.

    Attributes:
        desired: The file that each name belongs to.
        contested: The findings of names that belong to none of the files that claim them.
        rejected: Files that do not get the name they claim, or claim none.
        unidentified: Files whose name cannot be read, by account: each might hold any flow of it.
        has_losers: Whether a name was claimed by more than one file.
    """

    desired: dict[FlowKey, ScannedFile] = field(default_factory=dict)
    contested: dict[FlowKey, tuple[Finding, ...]] = field(default_factory=dict)
    rejected: list[RejectedFile] = field(default_factory=list)
    unidentified: dict[str, list[str]] = field(default_factory=dict)
    has_losers: bool = False


def make_plan(
    snapshot: Snapshot,
    observed: Mapping[FlowKey, FlowEntry],
    released: AbstractSet[FlowKey] = frozenset(),
) -> Plan:
    """Returns what the snapshot means against the flows in force.

    Args:
        snapshot: What the source says.
        observed: The flows in force.
        released: Protected flows that may leave, or cease to be protected.
    """
    names = _judge(snapshot.files, observed)
    contested = names.contested.keys() & observed.keys()
    vanished = observed.keys() - names.desired.keys() - contested
    removable = frozenset(key for key in vanished if key.account not in names.unidentified)
    missing = protected_of(removable, observed, released)
    removed = frozenset(removable - missing)
    candidates = {key: file.candidate for key, file in names.desired.items()}
    staying = candidates.keys() | (observed.keys() - removed)
    bare = refuse_bare(candidates, observed, released)
    refused = refusals(staying, candidates, observed, bare)
    known = staying | names.contested.keys()
    advised = unknown_flows(known, candidates) if snapshot.is_whole else {}
    entries = {
        key: next_entry(
            key,
            file,
            observed.get(key),
            snapshot.revision,
            (*refused.get(key, ()), *advised.get(key, ())),
        )
        for key, file in names.desired.items()
    }
    entries.update(
        (key, _kept(observed[key], (_why_kept(observed[key], names.unidentified),)))
        for key in vanished - removed
    )
    entries.update((key, _kept(observed[key], names.contested[key])) for key in contested)
    changed = frozenset(
        key
        for key, entry in entries.items()
        if entry.spec is not None and entry.digest != _digest(observed.get(key))
    )
    broken = (
        RejectedFile(path=d.file, findings=d.findings) for d in snapshot.defaults if d.is_broken
    )
    rejected = tuple(sorted([*names.rejected, *broken], key=lambda file: file.path))
    return Plan(
        entries=entries,
        changed=changed,
        removed=removed,
        missed=missing,
        bare=frozenset(bare),
        rejected=rejected,
        is_plain=not (
            refused or names.contested or names.unidentified or names.has_losers or missing
        ),
        faulty=faulty_of(entries),
    )


def faulty_of(entries: Mapping[FlowKey, FlowEntry]) -> frozenset[FlowKey]:
    """Returns the keys of flows with a finding that is an error."""
    return frozenset(
        key for key, entry in entries.items() if any(f.is_error for f in entry.findings)
    )


def _kept(entry: FlowEntry, findings: tuple[Finding, ...]) -> FlowEntry:
    """Returns the entry of a flow that stays without a file, the same object as long as it can."""
    return entry if entry.findings == findings else replace(entry, findings=findings)


def _judge(files: Iterable[ScannedFile], observed: Mapping[FlowKey, FlowEntry]) -> _Names:
    """Decides whose each name is."""
    names = _Names()
    for key, claimants in _claims(files, observed, names).items():
        winner = _winner(claimants, observed.get(key))
        losers = [file for file in claimants if file is not winner]
        names.has_losers = names.has_losers or bool(losers)
        paths = sorted(file.candidate.file for file in claimants) if losers else []
        findings = [_duplicate(file, key, winner, paths) for file in losers]
        names.rejected.extend(
            RejectedFile(path=file.candidate.file, findings=(finding, *file.candidate.findings))
            for file, finding in zip(losers, findings, strict=True)
        )
        if winner is not None:
            names.desired[key] = winner
        else:
            names.contested[key] = tuple(findings)
    return names


def _claims(
    files: Iterable[ScannedFile], observed: Mapping[FlowKey, FlowEntry], names: _Names
) -> dict[FlowKey, list[ScannedFile]]:
    """Groups files by the name they claim; what stands for no flow is noted in `names`."""
    claims: dict[FlowKey, list[ScannedFile]] = {}
    unnamed: list[ScannedFile] = []
    for file in files:
        key = file.key
        if key is None:
            unnamed.append(file)
        else:
            claims.setdefault(key, []).append(file)
    holdings = _holdings(observed) if unnamed else {}
    for file in unnamed:
        if file.account is not None and not file.candidate.is_foreign:
            names.unidentified.setdefault(file.account, []).append(file.candidate.file)
        path = file.candidate.file
        held = [key for key in holdings.get(path, ()) if key.account == file.account]
        for name in held:
            claims.setdefault(name, []).append(file)
        if not held:
            names.rejected.append(
                RejectedFile(path=file.candidate.file, findings=file.candidate.findings)
            )
    return claims


def _holdings(observed: Mapping[FlowKey, FlowEntry]) -> dict[str, list[FlowKey]]:
    """Returns the flows of each path: more than one when a vanished flow is kept."""
    holdings: dict[str, list[FlowKey]] = {}
    for key, entry in observed.items():
        holdings.setdefault(entry.path, []).append(key)
    return holdings


def _winner(claimants: list[ScannedFile], incumbent: FlowEntry | None) -> ScannedFile | None:
    if len(claimants) == 1:
        return claimants[0]
    if incumbent is None:
        return None
    return next((file for file in claimants if file.candidate.file == incumbent.path), None)


def _duplicate(
    file: ScannedFile, key: FlowKey, winner: ScannedFile | None, paths: list[str]
) -> Finding:
    rivals = winner.candidate.file if winner else others(file.candidate.file, paths)
    message = f"the flow {key.name!r} is also defined in {rivals}"
    hint = "give one of them another name"
    if winner is not None and winner.candidate.name is None:
        message = f"the flow {key.name!r} belongs to {winner.candidate.file}"
        hint = "correct that file first: its name cannot be read"
    return file.candidate.claims.name.finding(
        codes.DUPLICATE_FLOW, message, file=file.candidate.file, hint=hint
    )


def _why_kept(entry: FlowEntry, unidentified: Mapping[str, list[str]]) -> Finding:
    """Returns why a flow without a file is still there."""
    hiding = unidentified.get(entry.key.account)
    return _hidden(entry, hiding) if hiding else missed(entry)


def _hidden(entry: FlowEntry, unidentified: list[str]) -> Finding:
    first, others = min(unidentified), len(unidentified) - 1
    more = f" and {others} more" if others else ""
    return Finding(
        file=entry.path,
        code=codes.UNIDENTIFIED_FILE.code,
        message=f"the file is gone; its flow stays while the name in {first}{more} cannot be read",
        hint="correct or remove that file: it might hold this flow",
    )


def next_entry(
    key: FlowKey,
    file: ScannedFile,
    before: FlowEntry | None,
    revision: Revision,
    between: tuple[Finding, ...],
) -> FlowEntry:
    """Returns the entry of a flow after its file was read, the same object if nothing changed.

    An error among the findings between files keeps the new version out.
    """
    candidate, findings = file.candidate, (*between, *file.candidate.findings)
    spec = None if any(finding.is_error for finding in between) else candidate.spec
    is_first = before is None and file.content and spec is not None
    if is_first and candidate.definition is not None:  # as all at a first start
        return FlowEntry(
            key=key,
            path=candidate.file,
            spec=spec,
            definition=candidate.definition,
            revision=revision,
            content=file.content,
            observed_generation=1,
            findings=findings,
        )
    base = before or FlowEntry(key=key, path=candidate.file, generation=0)
    is_same_file = file.content in ("", base.content) and base.path == candidate.file
    if before is not None and is_same_file and base.findings == findings:
        return before  # one that still cannot be read has no content
    is_same_version = spec is not None and spec.digest == base.digest
    is_rewritten = is_same_version and base.observed_generation == base.generation
    is_new = file.content not in ("", base.content) and not is_rewritten
    generation = base.generation + int(is_new)
    changed = partial(
        replace,
        base,
        path=candidate.file,
        content=file.content or base.content,
        generation=generation,
        findings=findings,
    )
    if spec is None or candidate.definition is None:
        return changed()
    return changed(
        spec=base.spec if is_same_version else spec,
        definition=base.definition if is_same_version else candidate.definition,
        revision=base.revision if is_same_version else revision,
        observed_generation=generation,
    )


def _digest(entry: FlowEntry | None) -> str:
    return entry.digest if entry is not None else ""
