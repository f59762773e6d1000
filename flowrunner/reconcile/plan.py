"""Desired times observed: what a snapshot means for the registry. Pure.

Names are judged over the whole candidate set, so two files may swap names. A file that holds a
name keeps it against newcomers; where nobody held it, none of the claimants gets it. A file
that cannot be read any more stands for the flow it held before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT, FlowKey, Revision
from flowrunner.reconcile.scan import ScannedFile, Snapshot
from flowrunner.registry.entry import FlowEntry, RejectedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The registry as it should be, and what changes on the way there.

    Attributes:
        entries: The whole new set; conditions are set by apply.
        changed: Keys whose version in force is new or different.
        removed: Keys that leave.
    """

    entries: Mapping[FlowKey, FlowEntry]
    changed: frozenset[FlowKey]
    removed: frozenset[FlowKey]
    rejected: tuple[RejectedFile, ...]

    @property
    def errors(self) -> int:
        """Findings that keep a file, or its new version, out."""
        findings = [f for entry in self.entries.values() for f in entry.findings]
        findings.extend(f for file in self.rejected for f in file.findings)
        return sum(1 for finding in findings if finding.is_error)


def make_plan(snapshot: Snapshot, observed: Mapping[FlowKey, FlowEntry]) -> Plan:
    """Returns what the snapshot means against the flows in force."""
    claims, nameless = _claims(snapshot.files, observed)
    rejected: list[RejectedFile] = []
    desired: dict[FlowKey, ScannedFile] = {}
    for key, claimants in claims.items():
        winner = _winner(claimants, observed.get(key))
        if winner is not None:
            desired[key] = winner
        losers = [file for file in claimants if file is not winner]
        rejected.extend(_duplicate(file, key, winner, claimants) for file in losers)
    desired, refused = _without_path_conflicts(desired, observed)
    entries = {
        key: _next_entry(key, file, observed.get(key), snapshot.revision, refused.get(key, ()))
        for key, file in desired.items()
    }
    rejected.extend(
        RejectedFile(path=file.candidate.file, findings=file.candidate.findings)
        for file in nameless
    )
    contested = {key for key in claims if key not in desired and key in observed}
    vanished = {key for key in observed if key not in entries and key not in contested}
    kept = vanished if nameless else set()
    entries.update({key: observed[key] for key in (*contested, *kept)})
    removed = frozenset(vanished - kept)
    changed = frozenset(
        key
        for key, entry in entries.items()
        if entry.spec is not None and entry.digest != _digest(observed.get(key))
    )
    return Plan(
        entries=entries,
        changed=changed,
        removed=removed,
        rejected=tuple(sorted(rejected, key=lambda file: file.path)),
    )


def _claims(
    files: Iterable[ScannedFile], observed: Mapping[FlowKey, FlowEntry]
) -> tuple[dict[FlowKey, list[ScannedFile]], list[ScannedFile]]:
    """Groups files by the name they claim; a nameless file stands for the flow it held."""
    held = {entry.path: key for key, entry in observed.items()}
    claims: dict[FlowKey, list[ScannedFile]] = {}
    nameless: list[ScannedFile] = []
    unnamed: list[ScannedFile] = []
    for file in files:
        if file.candidate.name is None:
            unnamed.append(file)
        else:
            key = FlowKey(DEFAULT_ACCOUNT, file.candidate.name)
            claims.setdefault(key, []).append(file)
    for file in unnamed:
        before = held.get(file.candidate.file)
        if before is None or before in claims:
            nameless.append(file)
        else:
            claims[before] = [file]
    return claims, nameless


def _winner(claimants: list[ScannedFile], incumbent: FlowEntry | None) -> ScannedFile | None:
    if len(claimants) == 1:
        return claimants[0]
    if incumbent is None:
        return None
    return next((file for file in claimants if file.candidate.file == incumbent.path), None)


def _duplicate(
    file: ScannedFile, key: FlowKey, winner: ScannedFile | None, claimants: list[ScannedFile]
) -> RejectedFile:
    rivals = [f.candidate.file for f in ([winner] if winner else claimants) if f is not file]
    message = f"the flow {key.name!r} is also defined in {', '.join(sorted(rivals))}"
    hint = "give one of them another name"
    finding = _finding(file, codes.DUPLICATE_FLOW, message, hint)
    return RejectedFile(path=file.candidate.file, findings=(finding, *file.candidate.findings))


def _without_path_conflicts(
    desired: dict[FlowKey, ScannedFile], observed: Mapping[FlowKey, FlowEntry]
) -> tuple[dict[FlowKey, ScannedFile], dict[FlowKey, tuple[Finding, ...]]]:
    """Finds webhook paths claimed twice; returns findings for flows that must not have them."""
    claimed = [
        (hook.path, key)
        for key, file in desired.items()
        if file.candidate.spec is not None
        for hook in file.candidate.spec.webhooks
    ]
    counts = Counter(path for path, _ in claimed)
    refused: dict[FlowKey, tuple[Finding, ...]] = {}
    for path, key in claimed:
        if counts[path] == 1 or _holds(observed.get(key), path):
            continue
        rivals = sorted(other.name for p, other in claimed if p == path and other != key)
        message = f"the webhook path {path!r} is claimed by the flow {', '.join(rivals)} too"
        finding = _finding(desired[key], codes.WEBHOOK_PATH_TAKEN, message, "choose another path")
        refused[key] = (*refused.get(key, ()), finding)
    return desired, refused


def _holds(entry: FlowEntry | None, path: str) -> bool:
    if entry is None or entry.spec is None:
        return False
    return any(hook.path == path for hook in entry.spec.webhooks)


def _next_entry(
    key: FlowKey,
    file: ScannedFile,
    before: FlowEntry | None,
    revision: Revision,
    refused: tuple[Finding, ...],
) -> FlowEntry:
    candidate = file.candidate
    content = f"{file.content}:{'refused' if refused else ''}"
    if before is not None and before.content == content and before.path == candidate.file:
        return before
    seen_before = before is not None and before.content in ("", content)
    base = before or FlowEntry(key=key, path=candidate.file, generation=0)
    spec, definition = (None, None) if refused else (candidate.spec, candidate.definition)
    same_version = spec is not None and spec.digest == base.digest
    grows = not (seen_before and same_version) and not (same_version and not base.findings)
    entry = replace(
        base,
        path=candidate.file,
        content=content,
        generation=base.generation + 1 if grows else base.generation,
        findings=(*refused, *candidate.findings),
    )
    if spec is None or definition is None:
        return entry
    return replace(
        entry,
        spec=base.spec if same_version else spec,
        definition=base.definition if same_version else definition,
        revision=base.revision if same_version else revision,
        observed_generation=entry.generation,
    )


def _finding(file: ScannedFile, code: Code, message: str, hint: str) -> Finding:
    return Finding(
        file=file.candidate.file, line=1, column=1, code=code.code, message=message, hint=hint
    )


def _digest(entry: FlowEntry | None) -> str:
    return entry.digest if entry is not None else ""
