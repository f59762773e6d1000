"""One digest for one content."""

from __future__ import annotations

import math

import pytest

from flowrunner.model.digest import canonical_json, digest_of
from flowrunner.model.ids import Json


def test_digest_is_the_same_for_ever() -> None:
    """A digest that was written to disk names the same definition in every later version."""
    assert canonical_json({"b": [1, 2.5, None, True], "a": "Größe"}) == (
        '{"a":"Größe","b":[1,2.5,null,true]}'.encode()
    )
    assert digest_of({"version": 1, "name": "backup"}) == (
        "sha256:618eb6b9e263303daf97b0e7d0a6e7f1ed37f05f4bf0d9635c9a87bdce5d7249"
    )


def test_order_of_keys_does_not_matter() -> None:
    """The same content in another order has the same digest, at any depth."""
    one = {"a": {"x": 1, "y": [{"p": 1, "q": 2}]}, "b": 2}
    other = {"b": 2, "a": {"y": [{"q": 2, "p": 1}], "x": 1}}
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([1, 2], [2, 1], id="order-of-a-list"),
        pytest.param(1, 1.0, id="kind-of-number"),
        pytest.param(1, "1", id="number-or-text"),
        pytest.param(1, True, id="number-or-boolean"),
        pytest.param(None, {}, id="null-or-empty"),
    ],
)
def test_different_content_has_a_different_digest(one: Json, other: Json) -> None:
    """Nothing that a flow can tell apart is taken for the same."""
    assert digest_of({"value": one}) != digest_of({"value": other})


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800"], ids=["nan", "inf", "surrogate"])
def test_value_without_json_text_is_refused(value: Json) -> None:
    """What JSON cannot carry has no digest."""
    with pytest.raises(ValueError):
        digest_of({"value": value})
