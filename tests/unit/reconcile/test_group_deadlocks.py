"""Promises of `flowrunner.reconcile.group_deadlocks`: no flow waits for its own group."""

from __future__ import annotations

import pytest

from flowrunner.definitions import codes
from flowrunner.reconcile.scan import ScannedFile
from tests.unit.reconcile.sources import Source, found_codes, linked

DEADLOCK = codes.GROUP_DEADLOCK.code


def planned(*files: ScannedFile) -> Source:
    source = Source()
    source.plan({}, *files)
    return source


def test_sub_flow_of_the_same_group_is_refused() -> None:
    """A flow that waits for one of its own group could never go on."""
    source = planned(linked("a", waits_for="b", group="db"), linked("b", group="db"))
    (finding,) = source.entry("a").findings

    assert (finding.code, finding.is_error) == (DEADLOCK, True)
    assert finding.message == "the flow 'a' waits for 'b' in its own group 'db': a → b"
    assert source.entry("a").spec is None


def test_way_through_others_counts() -> None:
    """An ancestor at any distance holds its group, and the finding names the way."""
    source = planned(
        linked("a", waits_for="b", group="db"), linked("b", waits_for="c"), linked("c", group="db")
    )

    for name in "abc":
        assert found_codes(source.entry(name)) == [DEADLOCK]
        assert source.entry(name).findings[0].message.endswith(": a → b → c")


@pytest.mark.parametrize(
    ("files"),
    [
        pytest.param(
            (linked("a", starts="b", group="db"), linked("b", group="db")), id="does-not-wait"
        ),
        pytest.param(
            (linked("a", group="db"), linked("b", follows="a", group="db")), id="follows-its-end"
        ),
        pytest.param(
            (linked("a", waits_for="b", group="db"), linked("b", group="other")), id="other-group"
        ),
        pytest.param((linked("a", waits_for="b"), linked("b")), id="own-groups"),
        pytest.param(
            (linked("a", waits_for="b"), linked("b", group="db"), linked("c", group="db")),
            id="beside",
        ),
        pytest.param(
            (
                linked("a", waits_for="b", group="db"),
                linked("b", starts="c"),
                linked("c", group="db"),
            ),
            id="a-link-that-does-not-wait",
        ),
    ],
)
def test_flows_that_can_go_on_are_not_refused(files: tuple[ScannedFile, ...]) -> None:
    """Only who waits for a flow of the same literal group is in trouble."""
    source = planned(*files)

    assert not [f for entry in source.observed.values() for f in entry.findings]


def test_newcomer_alone_is_refused() -> None:
    """Who brings the group or the link is refused, the flows in force stay."""
    a, b = linked("a", waits_for="b", group="db"), linked("b")
    source = planned(a, b)
    source.plan({}, a, linked("b", group="db"))

    assert not source.entry("a").findings
    assert found_codes(source.entry("b")) == [DEADLOCK]
    assert source.counts("b") == (2, 1)


def test_newcomer_in_the_middle_is_refused() -> None:
    """A link that joins two flows of a group is refused where it is drawn."""
    a, c = linked("a", waits_for="b", group="db"), linked("c", group="db")
    source = planned(a, linked("b"), c)
    source.plan({}, a, linked("b", waits_for="c"), c)

    assert [found_codes(source.entry(name)) for name in "abc"] == [[], [DEADLOCK], []]


def test_deadlock_in_force_is_reported() -> None:
    """What is in force already, as after a crash between two writes, is told on every flow."""
    a, b = linked("a", waits_for="b", group="db"), linked("b", group="db")
    source, other = planned(a), planned(b)
    source.observed = {**source.observed, **other.observed}
    source.plan({}, a, b)

    assert found_codes(source.entry("a")) == found_codes(source.entry("b")) == [DEADLOCK]


def test_circle_of_one_group_ends() -> None:
    """A circle of flows of one group has both findings, and judging it comes to an end."""
    source = planned(linked("a", waits_for="b", group="db"), linked("b", waits_for="a", group="db"))

    expected = [codes.FLOW_CYCLE.code, DEADLOCK]
    assert found_codes(source.entry("a")) == found_codes(source.entry("b")) == expected
