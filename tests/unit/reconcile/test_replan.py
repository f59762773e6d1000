"""Promises of `flowrunner.reconcile.replan`: the short way is taken, and only where it is right.

That both ways lead to the same plan is asserted by `Source` in every test that uses it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowrunner.reconcile.plan import make_plan
from flowrunner.reconcile.scan import ScannedFile, Snapshot
from tests.fakes.definitions import NOT_YAML, broken_text, flow_text, hook, key_of, snapshot
from tests.unit.reconcile.sources import Source, found_codes, linked, rejected, unread

A, B = flow_text("a"), flow_text("b")


def edited(name: str, **keys: object) -> bytes:
    return flow_text(name, description="edited", **keys)


def snapshot_of(files: dict[str, bytes], *extra: ScannedFile) -> Snapshot:
    found = snapshot(files)
    return replace(found, files=(*found.files, *extra))


def test_an_unchanged_source_is_not_judged_again() -> None:
    """Nothing changed, nothing touched."""
    source = Source({"a.yaml": A, "b.yaml": B})
    plan = source.plan({"a.yaml": A, "b.yaml": B})
    assert (source.short, plan.changed) == (1, frozenset())


def test_an_edit_is_judged_alone() -> None:
    """One file of many that says something else, and nothing else to others."""
    source = Source({"a.yaml": A, "b.yaml": B})
    plan = source.plan({"a.yaml": edited("a"), "b.yaml": B})
    assert (source.short, [key.name for key in plan.changed]) == (1, ["a"])
    assert source.counts("a") == (2, 2)


def test_an_edit_that_breaks_a_file_and_its_repair_are_judged_alone() -> None:
    """As long as the name can be read nobody else is concerned."""
    source = Source({"a.yaml": A, "b.yaml": B})
    source.plan({"a.yaml": broken_text("a", 1), "b.yaml": B})
    source.plan({"a.yaml": edited("a"), "b.yaml": B})
    assert (source.short, source.counts("a")) == (2, (3, 3))


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"a.yaml": A}, id="gone"),
        pytest.param({"a.yaml": A, "b.yaml": B, "c.yaml": flow_text("c")}, id="new"),
        pytest.param({"a.yaml": A, "c.yaml": B}, id="moved"),
        pytest.param({"a.yaml": B, "b.yaml": A}, id="swapped"),
        pytest.param({"a.yaml": A, "b.yaml": A}, id="duplicate"),
        pytest.param({"a.yaml": A, "b.yaml": NOT_YAML}, id="nameless"),
        pytest.param({"a.yaml": A, "b.yaml": flow_text("b", triggers=[hook("b")])}, id="hook"),
    ],
)
def test_what_concerns_others_takes_the_long_way(files: dict[str, bytes]) -> None:
    """Names, paths of hooks and files that come or go are judged over all files."""
    source = Source({"a.yaml": A, "b.yaml": B})
    source.plan(files)
    assert source.short == 0


def test_a_conflict_is_judged_over_all_files_until_it_is_solved() -> None:
    """While two files claim a name, an edit of a third may not be judged alone."""
    source = Source({"a.yaml": A, "b.yaml": B})
    source.plan({"a.yaml": A, "b.yaml": B, "c.yaml": A})
    plan = source.plan({"a.yaml": A, "b.yaml": edited("b"), "c.yaml": A})
    assert (source.short, list(rejected(plan))) == (0, ["c.yaml"])


def test_a_name_that_leads_nowhere_is_told_on_the_short_way_too() -> None:
    """The warning about an unknown flow does not get lost by an edit."""
    source = Source()
    source.plan({"b.yaml": B}, linked("a", waits_for="missing"))
    source.plan({"b.yaml": edited("b")}, linked("a", waits_for="missing"))
    assert (source.short, found_codes(source.entry("a"))) == (1, ["FR505"])


def test_a_new_link_takes_the_long_way() -> None:
    """Who begins to start another flow may close a circle."""
    source = Source()
    source.plan({}, linked("a"), linked("b", waits_for="a"))
    source.plan({}, linked("a", waits_for="b"), linked("b", waits_for="a"))
    assert (source.short, found_codes(source.entry("a"))) == (0, ["FR315"])


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({}, id="unread"),
        pytest.param({"b.yaml": NOT_YAML}, id="nameless"),
        pytest.param({"b.yaml": A, "c.yaml": A}, id="contested"),
    ],
)
def test_what_is_as_broken_as_before_is_no_change(broken: dict[str, bytes]) -> None:
    """A flow that stays only because of a fault keeps its entry from one pass to the next."""
    source = Source({"a.yaml": A})
    extra = () if broken else (unread("a.yaml"),)
    source.plan(broken, *extra)
    before = source.entry("a")
    again = make_plan(snapshot_of(broken, *extra), source.observed)
    assert again.entries[key_of("a")] is before
