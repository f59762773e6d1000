"""What an edit of `_defaults.yaml` means for the flows below it, and for nobody else."""

from __future__ import annotations

from pathlib import Path

from flowrunner.model.conditions import ConditionReason, ConditionType, Status
from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.conditions import flow_conditions
from flowrunner.reconcile.plan import Plan, make_plan
from flowrunner.reconcile.scan import Scanner
from flowrunner.reconcile.tree import FolderTrees
from flowrunner.registry.entry import FlowEntry
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import COMPILER, flow_text, key_of
from tests.fakes.files import FakeFiles
from tests.fakes.records import NOON
from tests.unit.reconcile.sources import names, rejected

ROOT = Path("/flows")
GOOD, OTHER, BROKEN = b"env: {A: x}\n", b"env: {A: y}\n", b"env: {A: [x]}\n"
BELOW, BESIDE = "team/below.yaml", "beside.yaml"


class Source:
    """A folder whose states are planned one after the other, each applied before the next."""

    def __init__(self) -> None:
        self.files = FakeFiles()
        self.files.make_folder(ROOT)
        self._scanner = Scanner(self.files, COMPILER, FolderTrees(self.files), FakeClock())
        self.observed: dict[FlowKey, FlowEntry] = {}
        self.put(BELOW, flow_text("below"))
        self.put(BESIDE, flow_text("beside"))

    def put(self, name: str, data: bytes) -> None:
        self.files.write(ROOT / name, data)

    def plan(self, defaults: bytes) -> Plan:
        self.put("team/_defaults.yaml", defaults)
        plan = make_plan(self._scanner.scan(ROOT), self.observed)
        self.observed = dict(plan.entries)
        return plan

    def entry(self, name: str) -> FlowEntry:
        return self.observed[key_of(name)]

    def reason(self, name: str) -> ConditionReason:
        """Returns the reason of `Ready`, which is false."""
        ready = {c.type: c for c in flow_conditions(self.entry(name), None, NOON)}[
            ConditionType.READY
        ]
        assert ready.status is Status.FALSE
        return ready.reason


def test_edit_changes_the_flows_below_alone() -> None:
    """A new value is a new version of each flow below, under the revision that brought it."""
    source = Source()
    source.plan(GOOD)
    before = source.entry("below")
    beside = source.entry("beside")
    plan = source.plan(OTHER)

    assert names(plan.changed) == ["below"]
    after = source.entry("below")
    assert after.spec is not None
    assert after.spec.env == {"A": "y"}
    assert (after.generation, after.observed_generation) == (2, 2)
    assert after.revision != before.revision
    assert source.entry("beside") is beside


def test_edit_that_says_the_same_changes_no_version() -> None:
    """A comment in the defaults is no new version of anything."""
    source = Source()
    source.plan(GOOD)
    before = source.entry("below")
    plan = source.plan(b"# why\nenv: {A: x}\n")

    assert names(plan.changed) == []
    after = source.entry("below")
    assert (after.digest, after.generation, after.revision) == (
        before.digest,
        before.generation,
        before.revision,
    )


def test_broken_defaults_keep_every_flow_below_on_its_last_good_version() -> None:
    """It stays armed, with the reason; siblings are untouched."""
    source = Source()
    source.plan(GOOD)
    beside = source.entry("beside")
    plan = source.plan(BROKEN)

    assert names(plan.changed) == names(plan.removed) == []
    below = source.entry("below")
    assert below.spec is not None
    assert below.spec.env == {"A": "x"}
    assert source.reason("below") is ConditionReason.DEFAULTS_INVALID
    assert source.entry("beside") is beside


def test_broken_defaults_are_told_once() -> None:
    """They are a rejected file, and one mistake is one error however many flows it keeps out."""
    source = Source()
    source.put("team/second.yaml", flow_text("second"))
    plan = source.plan(BROKEN)

    assert rejected(plan) == {"team/_defaults.yaml": ["FR203"]}
    assert plan.errors == 1
    assert {f.file for name in ("below", "second") for f in source.entry(name).findings} == {
        "team/_defaults.yaml"
    }


def test_new_flow_below_broken_defaults_is_not_admitted() -> None:
    """There is no last good version to fall back on."""
    source = Source()
    source.plan(BROKEN)

    assert source.entry("below").spec is None
    assert source.reason("below") is ConditionReason.DEFAULTS_INVALID
    assert source.entry("beside").spec is not None


def test_edit_of_a_flow_below_broken_defaults_waits() -> None:
    """Nobody knows what the new version would be together with them; the repair brings it."""
    source = Source()
    source.plan(GOOD)
    source.put(BELOW, flow_text("below", description="new"))
    source.plan(BROKEN)
    kept = source.entry("below").spec
    assert kept is not None
    assert kept.description == ""

    assert names(source.plan(GOOD).changed) == ["below"]
    spec = source.entry("below").spec
    assert spec is not None
    assert (spec.description, spec.env) == ("new", {"A": "x"})


def test_repaired_defaults_leave_no_trace() -> None:
    """With the old content the old version is in force, as if nothing had been."""
    source = Source()
    source.plan(GOOD)
    before = source.entry("below")
    source.plan(BROKEN)
    plan = source.plan(GOOD)

    assert names(plan.changed) == []
    assert plan.errors == 0
    after = source.entry("below")
    assert (after.spec, after.findings) == (before.spec, ())


def test_defaults_that_do_not_suit_one_flow_keep_that_one_out() -> None:
    """The file is good for others; the finding stands in it and names the flow."""
    source = Source()
    source.put("team/daily.yaml", flow_text("daily", inputs={"day": {"default": "x"}}))
    plan = source.plan(b"env: {DAY: '${{ inputs.day }}'}\n")

    assert source.entry("daily").spec is not None
    assert source.entry("below").spec is None
    (finding,) = source.entry("below").findings
    assert finding.file == "team/_defaults.yaml"
    assert "'below'" in finding.message
    assert source.reason("below") is ConditionReason.DEFAULTS_INVALID
    assert rejected(plan) == {}


def test_flow_is_not_removed_while_defaults_are_broken() -> None:
    """A broken `_defaults.yaml` stands for no flow: a flow that leaves beside it is gone."""
    source = Source()
    source.plan(GOOD)
    source.files.remove(ROOT / BESIDE)
    assert names(source.plan(BROKEN).removed) == ["beside"]
