"""Promises of `protect: true`: the flow leaves, and its protection ends, by approval alone."""

from __future__ import annotations

import pytest

from flowrunner.definitions import codes
from flowrunner.errors import RefusedError
from flowrunner.model.conditions import ConditionReason, ConditionType, Status
from flowrunner.reconcile.plan import make_plan
from tests.fakes.definitions import NOT_YAML, broken_text, flow_text, hook, key_of, snapshot
from tests.unit.reconcile.sources import Source, found_codes, names
from tests.unit.reconcile.test_prune import Pruned

A, B = flow_text("a", protect=True), flow_text("b")
BARE = flow_text("a", description="bare")
KEY = key_of("a")


def protected(world: Pruned) -> Pruned:
    world.put("a.yaml", A)
    world.request()
    return world


@pytest.fixture
def world() -> Pruned:
    return protected(Pruned(2))


# The plan


def test_a_protected_flow_stays_when_its_file_goes() -> None:
    """Its last good version stays in force, with a finding that says how to approve."""
    source = Source({"a.yaml": A, "b.yaml": B})
    plan = source.plan({})
    (finding,) = source.entry("a").findings
    assert (names(plan.removed), names(plan.missed)) == (["b"], ["a"])
    assert (finding.file, finding.code) == ("a.yaml", codes.PROTECTED_FLOW.code)
    assert "--allow-prune" in finding.hint


@pytest.mark.parametrize("bare", [BARE, flow_text("a", protect=False)])
def test_the_line_cannot_be_removed_just_so(bare: bytes) -> None:
    """The new version is kept out whatever else it says, and the finding points into its file."""
    source = Source({"a.yaml": A})
    plan = source.plan({"a.yaml": bare})
    assert (names(plan.bare), plan.changed, source.counts("a")) == (["a"], frozenset(), (2, 1))
    (finding,) = source.entry("a").findings
    assert (finding.code, finding.line, finding.column) == (codes.PROTECTED_FLOW.code, 1, 24)
    assert make_plan(snapshot({"a.yaml": bare}), source.observed).entries[KEY] is source.entry("a")


def test_other_edits_of_a_protected_flow_come_into_force() -> None:
    """Protected is that the flow is there, not what it does."""
    source = Source({"a.yaml": A})
    plan = source.plan({"a.yaml": flow_text("a", protect=True, description="new")})
    assert (names(plan.changed), plan.errors) == (["a"], 0)


def test_a_protected_flow_keeps_its_webhook_path() -> None:
    """While it is held nobody else gets what it holds, and its own new path waits too."""
    source = Source({"a.yaml": flow_text("a", protect=True, triggers=[hook("push")])})
    source.plan({"b.yaml": flow_text("b", triggers=[hook("push")])})
    assert found_codes(source.entry("b")) == [codes.WEBHOOK_PATH_TAKEN.code]


def test_a_protected_flow_that_is_moved_or_broken_needs_no_approval() -> None:
    """Another path is the same flow, and a broken file removes no line."""
    source = Source({"a.yaml": A})
    assert source.plan({"sub/b.yaml": A}).errors == 0
    assert found_codes(source.entry("a")) == []
    source.plan({"sub/b.yaml": broken_text("a")})
    assert codes.PROTECTED_FLOW.code not in found_codes(source.entry("a"))


def test_a_renamed_protected_flow_is_held() -> None:
    """Another name is another flow: the new one comes, the old one stays."""
    source = Source({"a.yaml": A})
    plan = source.plan({"a.yaml": flow_text("z", protect=True)})
    assert (names(plan.missed), names(plan.changed)) == (["a"], ["z"])


def test_a_file_without_a_name_holds_up_more_than_protection() -> None:
    """While it might be the flow, that is what is said."""
    source = Source({"a.yaml": A})
    plan = source.plan({"b.yaml": NOT_YAML})
    assert plan.missed == frozenset()
    assert found_codes(source.entry("a")) == [codes.UNIDENTIFIED_FILE.code]


def test_protection_outlives_a_restart() -> None:
    """The record of the version in force says it."""
    source = Source({"a.yaml": A})
    source.restart()
    assert names(source.plan({"b.yaml": B}).missed) == ["a"]


# The approval


def test_what_is_held_is_a_condition_of_flow_and_source(world: Pruned) -> None:
    """The rest of the pass is applied, and findings tell `--wait` that something is wrong."""
    world.put("new.yaml")
    result = world.delete("a", "f0")
    assert (result.result, result.removed, result.errors) == ("applied", 1, 1)
    assert world.names == ["a", "f1", "new"]
    held = world.held()
    assert (held.status, held.reason) == (Status.TRUE, ConditionReason.PROTECTED_FLOW)
    assert "leave or lose their protection: a; `flowrunner reconcile" in held.message
    ready = world.registry.entries[KEY].condition(ConditionType.READY)
    assert ready is not None
    assert (ready.status, ready.reason) == (Status.FALSE, ConditionReason.PROTECTED_FLOW)


def test_it_is_still_held_in_the_next_pass(world: Pruned) -> None:
    """A look at the same source changes nothing, and the hold does not get lost."""
    world.delete("a")
    assert world.request().result == "unchanged"
    assert world.held().status is Status.TRUE


def test_an_approval_lets_it_go(world: Pruned) -> None:
    """Then it is a flow that has left, and nothing is held any more."""
    world.delete("a")
    assert world.approve().removed == 1
    assert (world.names, world.held().status) == (["f0", "f1"], Status.FALSE)


def test_an_approval_takes_the_line_away(world: Pruned) -> None:
    """The bare version comes into force; from then on the file may go."""
    world.put("a.yaml", BARE)
    world.request()
    assert world.approve().updated == 1
    assert world.registry.entries[KEY].is_ready
    world.delete("a")
    assert world.names == ["f0", "f1"]


def test_an_approval_of_others_is_none_of_it(world: Pruned) -> None:
    """A protected flow that was not shown stays when a mass deletion is approved."""
    many = protected(Pruned(10))
    many.delete(*(f"f{n}" for n in range(8)))
    many.put("a.yaml", BARE)
    with pytest.raises(RefusedError, match="protected flows"):
        many.approve()
    spec = many.registry.entries[KEY].spec
    assert spec is not None
    assert spec.is_protected


def test_protected_flows_that_are_gone_count_as_gone(world: Pruned) -> None:
    """Four that may leave and six that may not are a mass deletion of ten."""
    many = Pruned(4)
    names_of = [f"p{n}" for n in range(6)]
    for name in names_of:
        many.put(f"{name}.yaml", flow_text(name, protect=True))
    many.put("last.yaml")
    many.request()
    result = many.delete(*names_of, "f0", "f1", "f2", "f3")
    assert (result.result, len(many.names)) == ("held", 11)
    assert "10 of the 11" in result.message
    assert many.approve().removed == 10
