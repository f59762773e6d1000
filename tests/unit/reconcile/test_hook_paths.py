"""Promises of `flowrunner.reconcile.hook_paths`: one flow for each path, and whose it is."""

from __future__ import annotations

import pytest

from flowrunner.definitions import codes
from tests.fakes.definitions import NOT_YAML, broken_text, flow_text, hook
from tests.unit.reconcile.sources import Files, Source, found_codes, names

TAKEN = codes.WEBHOOK_PATH_TAKEN.code


def hooked(name: str, path: str, **top: object) -> bytes:
    return flow_text(name, triggers=[hook(path)], **top)


def paths(source: Source) -> dict[str, str]:
    """Which flow serves which path."""
    return {
        trigger.path: key.name
        for key, entry in source.observed.items()
        if entry.spec
        for trigger in entry.spec.webhooks
    }


@pytest.mark.parametrize("newcomer", ["a", "z"])
def test_path_stays_with_the_incumbent(newcomer: str) -> None:
    """A flow that claims a path in use is refused and names who has it, whatever their order."""
    source = Source({"m.yaml": hooked("m", "push")})
    plan = source.plan({"m.yaml": hooked("m", "push"), "n.yaml": hooked(newcomer, "push")})
    assert paths(source) == {"push": "m"}
    entry = source.entry(newcomer)
    assert entry.spec is None
    assert found_codes(entry) == [TAKEN]
    assert "flow m " in entry.findings[0].message
    assert names(plan.changed) == []
    assert not source.entry("m").findings


def test_path_claimed_by_two_newcomers_goes_to_neither() -> None:
    """Without an incumbent both are refused, each naming the other."""
    source = Source({"a.yaml": hooked("a", "push"), "b.yaml": hooked("b", "push")})
    assert paths(source) == {}
    assert found_codes(source.entry("a")) == found_codes(source.entry("b")) == [TAKEN]


def test_refused_newcomer_keeps_its_last_good_version() -> None:
    """A flow that moves to a path in use stays where it was."""
    source = Source({"a.yaml": hooked("a", "one"), "b.yaml": hooked("b", "two")})
    source.plan({"a.yaml": hooked("a", "one"), "b.yaml": hooked("b", "one")})
    assert paths(source) == {"one": "a", "two": "b"}
    assert source.counts("b") == (2, 1)


def test_refused_flow_gets_the_path_when_it_is_free() -> None:
    """The refused version comes into force unedited, as the generation it already was."""
    source = Source({"a.yaml": hooked("a", "one"), "b.yaml": flow_text("b")})
    source.plan({"a.yaml": hooked("a", "one"), "b.yaml": hooked("b", "one")})
    plan = source.plan({"a.yaml": flow_text("a"), "b.yaml": hooked("b", "one")})
    assert names(plan.changed) == ["a", "b"]
    assert paths(source) == {"one": "b"}
    assert (source.entry("b").revision, source.counts("b")) == ("r3", (2, 2))
    assert not source.entry("b").findings


def test_flows_may_swap_their_paths() -> None:
    """Paths are judged over the whole source: a swap is no conflict."""
    source = Source({"a.yaml": hooked("a", "one"), "b.yaml": hooked("b", "two")})
    source.plan({"a.yaml": hooked("a", "two"), "b.yaml": hooked("b", "one")})
    assert paths(source) == {"one": "b", "two": "a"}


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"a.yaml": broken_text("a")}, id="broken"),
        pytest.param({"a.yaml": NOT_YAML}, id="nameless"),
        pytest.param({"c.yaml": NOT_YAML}, id="kept-for-want-of-a-name"),
        pytest.param({"x.yaml": flow_text("a"), "y.yaml": flow_text("a")}, id="contested"),
    ],
)
def test_path_of_a_flow_in_trouble_cannot_be_taken(files: Files) -> None:
    """A last good version keeps its path: nobody takes it over while its file is in trouble."""
    source = Source({"a.yaml": hooked("a", "one")})
    source.plan({**files, "b.yaml": hooked("b", "one")})
    assert paths(source) == {"one": "a"}
    assert found_codes(source.entry("b")) == [TAKEN]


def test_refusal_reaches_who_counted_on_the_move() -> None:
    """A flow that must stay on its path keeps it from the one that was to follow."""
    source = Source({"a.yaml": hooked("a", "one"), "c.yaml": hooked("c", "two")})
    source.plan(
        {
            "a.yaml": hooked("a", "two"),  # refused: c has it
            "b.yaml": hooked("b", "one"),  # free only if a could move
            "c.yaml": hooked("c", "two"),
        }
    )
    assert paths(source) == {"one": "a", "two": "c"}
    assert found_codes(source.entry("b")) == [TAKEN]


def test_path_of_a_removed_flow_is_free() -> None:
    """A flow that leaves gives its path to a newcomer of the same pass."""
    source = Source({"a.yaml": hooked("a", "one")})
    source.plan({"b.yaml": hooked("b", "one")})
    assert paths(source) == {"one": "b"}


def test_second_holder_after_a_crash_is_refused() -> None:
    """Of two records with one path, as a crash between two writes may leave, one is reported."""
    source = Source({"a.yaml": hooked("a", "one")})
    other = Source({"b.yaml": hooked("b", "one")})
    source.observed = {**source.observed, **other.observed}
    source.restart()
    source.plan({"a.yaml": hooked("a", "one"), "b.yaml": hooked("b", "one")})
    assert not source.entry("a").findings
    assert found_codes(source.entry("b")) == [TAKEN]
