"""Which texts are hidden of what an attempt is given."""

from __future__ import annotations

import pytest

from flowrunner.model.ids import Json
from flowrunner.model.secret import SecretValue
from flowrunner.secrets.hidden import secret_texts


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        pytest.param("plain", set(), id="no-secret"),
        pytest.param(SecretValue("key"), {"key"}, id="text"),
        pytest.param({"a": [1, {"b": SecretValue("key")}], "c": "x"}, {"key"}, id="deep"),
        pytest.param((SecretValue("a"), SecretValue("b")), {"a", "b"}, id="several"),
        pytest.param(SecretValue(54321), {"54321"}, id="number"),
        pytest.param(SecretValue({"u": ["x", 5]}), {'{"u":["x",5]}', "x"}, id="map"),
        pytest.param(SecretValue(True), set(), id="boolean"),
        pytest.param(SecretValue(None), set(), id="null"),
    ],
)
def test_secret_texts_are_found(value: Json, texts: set[str]) -> None:
    """A secret is hidden as `env` would hold it, a list or map also by the texts in it."""
    assert set(secret_texts(value)) == texts


@pytest.mark.heavy
def test_depth_is_no_obstacle() -> None:
    """Data from outside may be nested deeper than Python's stack."""
    value: Json = SecretValue("key")
    for _ in range(100_000):
        value = [value]
    assert list(secret_texts(value)) == ["key"]
