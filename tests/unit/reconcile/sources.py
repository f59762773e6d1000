"""A source whose states are planned one after the other, and short words for the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flowrunner.definitions import codes
from flowrunner.definitions.compiler import Candidate
from flowrunner.model.finding import Finding
from flowrunner.model.ids import FlowKey
from flowrunner.model.references import FlowReferences
from flowrunner.reconcile.plan import Plan, make_plan
from flowrunner.reconcile.replan import Planner
from flowrunner.reconcile.scan import ScannedFile
from flowrunner.registry.entry import FlowEntry
from tests.fakes.definitions import flow_text, key_of, scanned, snapshot

Files = Mapping[str, bytes]


class Source:
    """Plans one pass after the other, each applied before the next.

    Each is planned twice, from nothing and from the plan before: both must say the same.

    Attributes:
        short: How many plans followed from the one before.
    """

    def __init__(self, files: Files | None = None) -> None:
        self.observed: Mapping[FlowKey, FlowEntry] = {}
        self.passes = 0
        self.short = 0
        self._planner = Planner()
        if files is not None:
            self.plan(files)

    def plan(self, files: Files, *extra: ScannedFile) -> Plan:
        self.passes += 1
        found = snapshot(files, f"r{self.passes}")
        whole = replace(found, files=(*found.files, *extra))
        plan = make_plan(whole, self.observed)
        again = self._planner.plan(whole, self.observed)
        assert dict(again.entries) == dict(plan.entries)
        assert (again.changed, again.removed) == (plan.changed, plan.removed)
        assert (again.missed, again.bare) == (plan.missed, plan.bare)
        assert (again.rejected, again.is_plain) == (plan.rejected, plan.is_plain)
        if again.touched is not None:
            self.short += 1
            same = {k for k, entry in plan.entries.items() if entry is self.observed.get(k)}
            assert plan.entries.keys() - same <= again.touched
        self._planner.carried_out(whole, again)
        self.observed = plan.entries
        return plan

    def restart(self) -> None:
        """Keeps what a record of the store keeps."""
        self._planner = Planner()
        self.observed = {
            key: FlowEntry(
                key=key,
                path=entry.path,
                spec=entry.spec,
                definition=entry.definition,
                revision=entry.revision,
                generation=entry.observed_generation,
                observed_generation=entry.observed_generation,
            )
            for key, entry in self.observed.items()
            if entry.spec is not None
        }

    def entry(self, name: str) -> FlowEntry:
        return self.observed[key_of(name)]

    def path(self, name: str) -> str:
        return self.entry(name).path

    def counts(self, name: str) -> tuple[int, int]:
        """Generation, and the one in force."""
        entry = self.entry(name)
        return (entry.generation, entry.observed_generation)


def linked(name: str, path: str = "", /, **references: Iterable[str] | str) -> ScannedFile:
    """A file whose flow names others: `waits_for`, `starts`, `follows`, and a `group`.

    What nodes and triggers of type `flow` say; the trigger is planned.
    """
    file = scanned(path or f"{name}.yaml", flow_text(name, description=repr(references)))
    spec = file.candidate.spec
    assert spec is not None
    group = references.pop("group", None)
    named: dict[str, Any] = {
        use: frozenset([n] if isinstance(n, str) else n) for use, n in references.items()
    }
    says = FlowReferences(group=None if group is None else str(group), **named)
    return replace(file, candidate=replace(file.candidate, spec=replace(spec, references=says)))


def names(keys: Mapping[FlowKey, FlowEntry] | frozenset[FlowKey]) -> list[str]:
    return sorted(key.name for key in keys)


def unread(path: str, code: codes.Code = codes.NOT_READABLE) -> ScannedFile:
    """A file that could not be read."""
    finding = Finding(file=path, code=code.code, message="cannot be read")
    return ScannedFile(content="", candidate=Candidate(file=path, findings=(finding,)))


def found_codes(entry: FlowEntry) -> list[str]:
    return [finding.code for finding in entry.findings]


def rejected(plan: Plan) -> dict[str, list[str]]:
    return {file.path: [finding.code for finding in file.findings] for file in plan.rejected}
