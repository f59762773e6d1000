"""Promises of `flowrunner.reconcile.flow_cycles`: no flows start each other in a circle."""

from __future__ import annotations

import pytest

from flowrunner.definitions import codes
from flowrunner.reconcile.scan import ScannedFile
from tests.fakes.definitions import broken_text
from tests.unit.reconcile.sources import Source, found_codes, linked

CYCLE = codes.FLOW_CYCLE.code


def found(source: Source, name: str) -> str:
    """Returns the message of the only finding of a flow."""
    (finding,) = source.entry(name).findings
    assert finding.code == CYCLE
    return finding.message


def planned(*files: ScannedFile) -> Source:
    source = Source()
    source.plan({}, *files)
    return source


@pytest.mark.parametrize(
    ("of_a", "of_b"),
    [
        pytest.param({"waits_for": "b"}, {"waits_for": "a"}, id="sub-flows"),
        pytest.param({"starts": "b"}, {"starts": "a"}, id="without-waiting"),
        pytest.param({"follows": "b"}, {"follows": "a"}, id="triggers"),
        pytest.param({"waits_for": "b", "follows": "b"}, {}, id="mixed"),
    ],
)
def test_newcomers_in_a_circle_are_all_refused(of_a: dict[str, str], of_b: dict[str, str]) -> None:
    """Where nobody was there first, each flow that draws a link of the circle stays out."""
    source = planned(linked("a", **of_a), linked("b", **of_b))

    assert found(source, "a") == "flows start each other: a → b → a"
    assert source.entry("a").spec is None
    if of_b:
        assert found(source, "b") == "flows start each other: b → a → b"
        assert source.entry("b").spec is None
    else:
        assert source.entry("b").spec is not None


@pytest.mark.parametrize("use", ["waits_for", "starts", "follows"])
def test_flow_that_starts_itself_is_refused(use: str) -> None:
    """A circle of one is a circle."""
    assert found(planned(linked("a", **{use: "a"})), "a") == "flows start each other: a → a"


def test_newcomer_that_closes_the_circle_is_refused_alone() -> None:
    """Flows in force stay as they are; the finding names the way from the newcomer round."""
    first, second = linked("a", waits_for="b"), linked("b", waits_for="c")
    source = planned(first, second)
    source.plan({}, first, second, linked("c", starts="a"))

    assert found(source, "c") == "flows start each other: c → a → b → c"
    assert source.entry("c").spec is None
    assert not source.entry("a").findings
    assert not source.entry("b").findings


def test_refused_version_leaves_the_last_good_one_armed() -> None:
    """A flow that is edited into a circle stays the version it was."""
    first, second = linked("a", waits_for="b"), linked("b")
    source = planned(first, second)
    before = source.entry("b").spec
    source.plan({}, first, linked("b", follows="b"))

    assert found(source, "b") == "flows start each other: b → b"
    assert source.entry("b").spec is before
    assert source.counts("b") == (2, 1)


def test_trigger_closes_a_circle_from_the_other_end() -> None:
    """A flow that follows the end of one that it is started by is refused, as the owner."""
    source = planned(linked("a", waits_for="b"), linked("b"))
    source.plan({}, linked("a", waits_for="b", follows="b"), linked("b"))

    assert found(source, "a") == "flows start each other: a → b → a"
    assert not source.entry("b").findings


def test_circle_that_is_taken_apart_lets_the_refused_in() -> None:
    """A refused version comes into force unedited when another flow gives way."""
    source = planned(linked("a", waits_for="b"), linked("b"))
    source.plan({}, linked("a", waits_for="b"), linked("b", starts="a"))
    source.plan({}, linked("a"), linked("b", starts="a"))

    assert not source.entry("b").findings
    assert source.entry("b").spec is not None
    assert source.counts("b") == (2, 2)


def test_links_may_turn_round_in_one_pass() -> None:
    """Links are judged over the whole source: to turn one round is no circle."""
    source = planned(linked("a", waits_for="b"), linked("b"))
    source.plan({}, linked("a"), linked("b", waits_for="a"))

    assert not source.entry("a").findings
    assert not source.entry("b").findings


def test_refusal_reaches_who_counted_on_the_change() -> None:
    """A flow that must keep its old link closes a circle for one that counted on its leaving."""
    source = planned(linked("a", starts="b"), linked("b"))
    source.plan({}, linked("a", starts="a"), linked("b", starts="a"))

    assert found(source, "a") == "flows start each other: a → a"
    assert found(source, "b") == "flows start each other: b → a → b"
    assert source.entry("a").spec is not None


def test_circle_through_a_last_good_version_counts() -> None:
    """A flow in trouble keeps the links of the version in force."""
    source = planned(linked("a", starts="b"))
    source.plan({"a.yaml": broken_text("a")}, linked("b", starts="a"))

    assert found(source, "b") == "flows start each other: b → a → b"


def test_circle_in_force_is_reported_on_each_flow() -> None:
    """A circle that a crash between two writes left in force is told, not hidden."""
    one, two = linked("a", starts="b"), linked("b", starts="a")
    source, other = planned(one), planned(two)
    source.observed = {**source.observed, **other.observed}
    source.plan({}, one, two)

    assert found_codes(source.entry("a")) == found_codes(source.entry("b")) == [CYCLE]
    assert source.entry("a").spec is not None


def test_flows_without_a_circle_may_meet_again() -> None:
    """Two ways to the same flow are no circle, nor is a name that nobody has."""
    source = planned(
        linked("a", starts=("b", "c")),
        linked("b", starts="d"),
        linked("c", starts="d"),
        linked("d"),
    )

    assert not [f for name in "abcd" for f in source.entry(name).findings]


def test_flows_beside_a_circle_stay() -> None:
    """Who starts a flow of the circle, or is started by one, is not part of it."""
    source = planned(
        linked("a", starts="b"),
        linked("b", starts=("c", "d")),
        linked("c", starts="b"),
        linked("d"),
    )

    assert found(source, "b") == "flows start each other: b → c → b"
    assert found(source, "c") == "flows start each other: c → b → c"
    assert not source.entry("a").findings
    assert not source.entry("d").findings


def test_long_way_is_shortened() -> None:
    """Of a long circle the beginning and the end are shown."""
    ring = [f"n{number:02}" for number in range(20)]
    files = [linked(name, starts=ring[(at + 1) % 20]) for at, name in enumerate(ring)]

    assert found(planned(*files), "n00") == (
        "flows start each other: "
        "n00 → n01 → n02 → n03 → n04 → n05 → n06 → n07 → n08 → … → n19 → n00"
    )


def test_very_large_circle_is_told_by_its_size() -> None:
    """A circle of very many flows costs no walk for each of them."""
    ring = [f"n{number}" for number in range(101)]
    files = [linked(name, starts=ring[(at + 1) % 101]) for at, name in enumerate(ring)]

    assert found(planned(*files), "n0") == (
        "the flow is one of 101 that start each other in a circle"
    )
