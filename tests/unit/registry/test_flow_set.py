"""Promises of `flowrunner.registry.flow_set`: a difference is worked out once, for all who ask."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.ids import FlowKey
from flowrunner.reconcile.conditions import flow_conditions
from flowrunner.registry.difference import changed_keys
from flowrunner.registry.entry import FlowEntry
from flowrunner.registry.flow_set import FlowSet, with_edits
from flowrunner.registry.registry import FlowRegistry
from tests.fakes.clock import FakeClock
from tests.fakes.definitions import entry, key_of

A, B, C = key_of("a"), key_of("b"), key_of("c")
NAMES = "abcd"


def flow(key: FlowKey) -> FlowEntry:
    """An entry that is no other one."""
    return FlowEntry(key=key, path=f"{key.name}.yaml")


def ready(key: FlowKey) -> FlowEntry:
    """Another one, which is ready."""
    return replace(flow(key), conditions=flow_conditions(flow(key), None, FakeClock().now()))


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets everybody fail from then on who looks into a set."""

    def fail(*_: object) -> NoReturn:
        raise AssertionError("it was looked at")

    def begin() -> None:
        for name in ("get", "items", "values", "__iter__", "__getitem__", "__contains__"):
            monkeypatch.setattr(FlowSet, name, fail, raising=False)

    return begin


def test_an_edit_keeps_all_other_entries_and_the_order() -> None:
    """The set before is as it was; the new one has the other entry in the same place."""
    before = FlowSet({A: entry("a"), B: entry("b")})
    new = flow(A)
    after = before.with_edits({A: new})
    assert list(after.items()) == [(A, new), (B, before[B])]
    assert before[A] is not new


def test_the_successor_knows_the_difference_without_a_look(
    unreadable: Callable[[], None],
) -> None:
    """Ten thousand flows are not compared by each of those who are told of one edit."""
    before = FlowSet({A: entry("a"), B: entry("b")})
    after = before.with_edits({A: flow(A), B: before[B]})
    unreadable()
    assert changed_keys(before, after) == {A}


def test_how_many_are_ready_is_counted_once(unreadable: Callable[[], None]) -> None:
    """Not at each question, nor anew because of an edit."""
    before = FlowSet({A: ready(A), B: ready(B)})
    assert before.ready_count == 2
    after = before.with_edits({A: flow(A)})
    unreadable()
    assert (before.ready_count, after.ready_count) == (2, 1)


def test_a_set_that_came_later_is_compared() -> None:
    """Who missed a change, or was told of none, sees all that has changed since."""
    first = FlowSet({A: entry("a"), B: entry("b")})
    second = first.with_edits({A: flow(A)})
    third = second.with_edits({B: flow(B)})
    assert changed_keys(second, third) == {B}
    assert changed_keys(first, third) == {A, B}
    assert changed_keys({}, third) == {A, B}


def test_only_flows_that_are_there_can_be_edited() -> None:
    """A new one has its place in an order that an edit does not know."""
    with pytest.raises(KeyError):
        FlowSet({A: entry("a")}).with_edits({B: flow(B)})


def test_a_set_does_not_keep_those_before_it() -> None:
    """However many edits there are, the memory of one set is used."""
    first = FlowSet({A: entry("a")})
    gone = weakref.ref(first)
    last = first.with_edits({A: flow(A)}).with_edits({A: flow(A)})
    del first
    gc.collect()
    assert (len(last), gone()) == (1, None)


def test_other_mappings_can_be_edited_too() -> None:
    """A plain dict gives a plain dict, and stays as it was."""
    before = {A: entry("a")}
    new = flow(A)
    assert with_edits(before, {A: new}) == {A: new}
    assert before[A] is not new


versions = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2))


@given(sets=st.lists(versions, min_size=2, max_size=6))
def test_whoever_follows_the_registry_sees_every_difference(sets: list[Mapping[str, int]]) -> None:
    """What is known of a difference, and of how many are ready, is what a look at all finds."""
    known = {
        (name, version): ready(key_of(name)) if version else flow(key_of(name))
        for name in NAMES
        for version in range(3)
    }
    assert known["a", 1].is_ready
    assert not known["a", 0].is_ready
    registry = FlowRegistry()
    for wanted in sets:
        before = registry.entries
        entries = {key_of(name): known[name, version] for name, version in wanted.items()}
        if entries.keys() == before.keys():
            registry.edit(entries)
        else:
            registry.replace(entries)
        assert changed_keys(before, registry.entries) == changed_keys(dict(before), entries)
        assert dict(registry.entries) == entries
        assert registry.ready_count == sum(each.is_ready for each in entries.values())
        assert list(registry.entries) == sorted(entries)
        assert [each.key for each in registry.after(None)] == sorted(entries)
