"""What is late is the tuple or dictionary it stands for, made once and not before a look."""

from __future__ import annotations

import pytest

from flowrunner.model.late import Late, LateMapping


def test_nothing_is_made_before_a_look() -> None:
    """The first look makes it, the others find it."""
    calls: list[int] = []

    def make(of: str) -> tuple[str, ...]:
        calls.append(1)
        return (of, "b", "c")

    late = Late(make, "a")
    assert not calls
    assert (len(late), late[0], late[1:], list(late)) == (3, "a", ("b", "c"), ["a", "b", "c"])
    assert len(calls) == 1


def test_equality_is_that_of_the_tuple() -> None:
    """From either side, and against another late one; so are hash and text."""
    late = Late(lambda _: ("a", "b"), "x")
    assert late == ("a", "b")
    assert ("a", "b") == late  # noqa: SIM300 - the other side
    assert late == Late(lambda _: ("a", "b"), "x")
    assert late != Late(lambda _: ("a",), "x")
    assert (hash(late), repr(late)) == (hash(("a", "b")), repr(("a", "b")))


def test_failure_is_told_at_each_look() -> None:
    """What could not be made is not taken for an empty tuple."""
    late: Late[str] = Late(lambda _: (str(1 // 0),), "x")
    for _ in range(2):
        try:
            len(late)
        except ZeroDivisionError:
            continue
        raise AssertionError("nothing was told")


def test_mapping_is_made_at_the_first_look() -> None:
    """It reads, merges and compares as the dictionary that it stands for, made once."""
    calls: list[str] = []

    def make(of: str) -> dict[str, int]:
        calls.append(of)
        return {"a": 1, "b": 2}

    late = LateMapping(make, "of a flow")
    assert not calls
    assert (late["a"], late.get("c", 3), len(late), list(late)) == (1, 3, 2, ["a", "b"])
    assert {**late, "b": 4} == {"a": 1, "b": 4}
    assert calls == ["of a flow"]
    assert late == {"a": 1, "b": 2}
    assert {"a": 1, "b": 2} == late  # noqa: SIM300 - the other side
    assert late == LateMapping(make, "of another")
    assert late != {"a": 1}
    assert repr(late) == repr({"a": 1, "b": 2})
    with pytest.raises(TypeError, match="unhashable"):
        hash(late)
