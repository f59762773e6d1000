"""Promises of `flowrunner.reconcile.unknown_flows`: a name without a flow is told, and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowrunner.definitions import codes
from flowrunner.reconcile.plan import make_plan
from tests.fakes.definitions import broken_text, key_of, snapshot
from tests.unit.reconcile.sources import Source, found_codes, linked

UNKNOWN = codes.UNKNOWN_FLOW.code


@pytest.mark.parametrize("use", ["waits_for", "starts", "follows"])
def test_unknown_flow_is_a_warning(use: str) -> None:
    """The flow comes into force: its other nodes and triggers work."""
    source = Source()
    source.plan({}, linked("a", **{use: ("raports",)}), linked("reports"))
    (finding,) = source.entry("a").findings

    assert (finding.code, finding.is_error) == (UNKNOWN, False)
    assert finding.message == "there is no flow 'raports' in this account"
    assert finding.hint == "did you mean 'reports'?"
    assert source.entry("a").spec is not None


def test_flow_whose_target_vanishes_stays_in_force() -> None:
    """When a file leaves, the flows that name it get the warning unedited, and lose it again."""
    a, b = linked("a", starts="b"), linked("b")
    source = Source()
    source.plan({}, a, b)
    spec = source.entry("a").spec
    assert not source.entry("a").findings

    plan = source.plan({}, a)
    assert found_codes(source.entry("a")) == [UNKNOWN]
    assert source.entry("a").spec is spec
    assert plan.changed == frozenset()

    source.plan({}, a, b)
    assert not source.entry("a").findings
    assert source.counts("a") == (1, 1)


def test_flow_in_trouble_is_known() -> None:
    """A flow whose file is broken, or contested, is a flow all the same."""
    source = Source()
    source.plan({"b.yaml": broken_text("b")}, linked("a", starts="b"))
    assert not source.entry("a").findings

    source = Source()
    source.plan({}, linked("b"), linked("b", "c.yaml"), linked("a", starts="b"))
    assert not source.entry("a").findings


def test_part_of_the_source_says_nothing_about_the_rest() -> None:
    """Where not all files were read, a name that is not among them is not called unknown."""
    part = replace(snapshot({}), files=(linked("a", starts="b"),), is_whole=False)

    assert make_plan(part, {}).entries[key_of("a")].findings == ()
    assert make_plan(replace(part, is_whole=True), {}).entries[key_of("a")].findings != ()
