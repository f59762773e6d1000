"""However many claim one name, each is told of a few."""

from __future__ import annotations

import pytest

from flowrunner.reconcile.rivals import others


@pytest.mark.parametrize(
    ("own", "claimants", "told"),
    [
        pytest.param("a", "ab", "b", id="two"),
        pytest.param("b", "abcd", "a, c, d", id="four"),
        pytest.param("a", "abcde", "b, c, d and 1 more", id="first-of-five"),
        pytest.param("e", "abcde", "a, b, c and 1 more", id="last-of-five"),
        pytest.param("g", "abcdefgh", "a, b, c and 4 more", id="far-behind"),
    ],
)
def test_three_others_are_named_and_the_rest_is_counted(
    own: str, claimants: str, told: str
) -> None:
    """The first three beside oneself are named, the others are a number."""
    assert others(own, list(claimants)) == told
