"""A late sequence is the tuple it stands for, made once and not before somebody looks."""

from __future__ import annotations

from flowrunner.model.late import Late


def test_nothing_is_made_before_a_look() -> None:
    """The first look makes it, the others find it."""
    calls: list[int] = []

    def make() -> tuple[str, ...]:
        calls.append(1)
        return ("a", "b", "c")

    late = Late(make)
    assert not calls
    assert (len(late), late[0], late[1:], list(late)) == (3, "a", ("b", "c"), ["a", "b", "c"])
    assert len(calls) == 1


def test_equality_is_that_of_the_tuple() -> None:
    """From either side, and against another late one; so are hash and text."""
    late = Late(lambda: ("a", "b"))
    assert late == ("a", "b")
    assert ("a", "b") == late  # noqa: SIM300 - the other side
    assert late == Late(lambda: ("a", "b"))
    assert late != Late(lambda: ("a",))
    assert (hash(late), repr(late)) == (hash(("a", "b")), repr(("a", "b")))


def test_failure_is_told_at_each_look() -> None:
    """What could not be made is not taken for an empty tuple."""
    late: Late[str] = Late(lambda: (str(1 // 0),))
    for _ in range(2):
        try:
            len(late)
        except ZeroDivisionError:
            continue
        raise AssertionError("nothing was told")
