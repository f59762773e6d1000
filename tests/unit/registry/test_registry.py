"""Promises of `flowrunner.registry`: one set of flows at a time, for everybody who looks."""

from __future__ import annotations

import pytest

from flowrunner.errors import NotFoundError
from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.flow import ConcurrencySpec, StartRules
from flowrunner.model.ids import FlowKey
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry, SourceStatus
from flowrunner.registry.registry import FlowRegistry
from tests.fakes.clock import DEFAULT_START
from tests.fakes.definitions import entry, key_of

A, B = key_of("a"), key_of("b")


def condition(kind: ConditionType, status: Status) -> Condition:
    reason = ConditionReason.READY
    return Condition(type=kind, status=status, reason=reason, last_transition_at=DEFAULT_START)


def test_new_registry_is_empty() -> None:
    """Before the first pass nothing is known."""
    registry = FlowRegistry()
    assert not registry.entries
    assert registry.get(A) is None
    assert registry.source == SourceStatus()
    assert not registry.source.is_ready


def test_flows_are_in_key_order() -> None:
    """Flows are listed by account and name, however they came."""
    registry = FlowRegistry()
    other = FlowKey("other", "0")
    registry.replace({other: FlowEntry(key=other, path=""), B: entry("b"), A: entry("a")})
    assert list(registry.entries) == [A, B, other]
    registry.replace({B: entry("b"), A: entry("a"), other: FlowEntry(key=other, path="")})
    assert list(registry.entries) == [A, B, other]


def test_a_page_begins_behind_a_key() -> None:
    """Also behind one that has left meanwhile; what a page began with stays its set."""
    registry = FlowRegistry()
    other = FlowKey("other", "0")
    registry.replace({other: FlowEntry(key=other, path=""), B: entry("b"), A: entry("a")})
    assert [each.key for each in registry.after(None)] == [A, B, other]
    assert [each.key for each in registry.after(A)] == [B, other]
    assert [each.key for each in registry.after(FlowKey("default", "aa"))] == [B, other]
    assert list(registry.after(other)) == []
    begun = registry.after(A)
    registry.replace({A: entry("a")})
    assert [each.key for each in begun] == [B, other]
    assert list(registry.after(A)) == []


def test_difference_is_what_came_went_or_is_another_entry() -> None:
    """Whoever compares two sets learns all of it, also where as many came as went."""
    kept, old, new = entry("a"), entry("b"), entry("b")
    c, d = key_of("c"), key_of("d")
    assert changed_keys({A: kept, B: old, c: entry("c")}, {A: kept, B: new, d: entry("d")}) == {
        B,
        c,
        d,
    }
    assert changed_keys({A: kept, B: old}, {A: kept}) == {B}
    assert changed_keys({A: kept}, {A: kept, B: new}) == {B}
    assert changed_keys({A: kept}, {A: kept}) == set()


def test_reader_keeps_the_set_it_took() -> None:
    """A later pass does not change what somebody is looking at, nor can a reader change it."""
    registry = FlowRegistry()
    given = {A: entry("a")}
    registry.replace(given)
    taken = registry.entries
    given[B] = entry("b")
    registry.replace({})
    assert list(taken) == [A]
    with pytest.raises(TypeError):
        taken[B] = entry("b")  # type: ignore[index]  # a reader that does not obey
    with pytest.raises(TypeError):
        del taken[A]  # type: ignore[attr-defined]  # nor here


def test_rules_are_those_of_the_version_in_force() -> None:
    """The concurrency of a flow is known while it has a version; else there is none."""
    registry = FlowRegistry()
    registry.replace({A: entry("a", concurrency={"limit": 3}), B: FlowEntry(key=B, path="b.yaml")})
    assert registry.rules_of(A) == StartRules(concurrency=ConcurrencySpec(limit=3))
    assert registry.rules_of(B) is None
    assert registry.rules_of(key_of("c")) is None


def test_flow_without_a_version_has_no_digest() -> None:
    """A flow that never was valid has no digest, and is not Ready."""
    unknown = FlowEntry(key=A, path="a.yaml")
    assert unknown.digest == ""
    assert not unknown.is_ready
    assert unknown.condition(ConditionType.READY) is None
    assert entry("a").digest.startswith("sha256:")


@pytest.mark.parametrize("status", list(Status))
def test_ready_is_a_true_condition(status: Status) -> None:
    """Flow and source are ready when their condition says `True`, and then alone."""
    flow = FlowEntry(key=A, path="a.yaml", conditions=(condition(ConditionType.READY, status),))
    source = SourceStatus(conditions=(condition(ConditionType.SOURCE_READY, status),))
    assert flow.is_ready is source.is_ready is (status is Status.TRUE)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        pytest.param(key_of("bakcup"), "no flow default/bakcup; did you mean 'backup'", id="near"),
        pytest.param(key_of("zebra"), "no flow default/zebra$", id="far"),
        pytest.param(FlowKey("ops", "bakcup"), "no flow ops/bakcup$", id="other-account"),
    ],
)
def test_missing_flow_is_told_with_a_near_one(key: FlowKey, told: str) -> None:
    """Who names a flow that is not there gets the one of that account that was meant."""
    registry = FlowRegistry()
    registry.replace({key_of("backup"): entry("backup")})
    assert registry.require(key_of("backup")) is registry.get(key_of("backup"))
    with pytest.raises(NotFoundError, match=told):
        registry.require(key)


def test_accounts_are_those_of_the_settings_and_of_flows() -> None:
    """An account without flows is known, and so is one that the settings do not name (any more)."""
    registry = FlowRegistry(["web", "empty"])
    web, other = FlowKey("web", "a"), FlowKey("other", "a")
    registry.replace({key: FlowEntry(key=key, path="") for key in (web, other)})
    found = {name: [each.key for each in flows] for name, flows in registry.by_account().items()}
    assert found == {"web": [web], "empty": [], "other": [other]}


def test_flow_of_another_account_is_hinted_at() -> None:
    """Who forgets the account is told which one has a flow of that name."""
    registry = FlowRegistry()
    web = FlowKey("web", "a")
    registry.replace({web: FlowEntry(key=web, path="")})
    with pytest.raises(NotFoundError, match="default/a; account web has one of this name"):
        registry.require(A)
