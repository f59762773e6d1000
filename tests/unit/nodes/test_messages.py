"""Texts for a person hold no secret and nothing that cannot be written down."""

from __future__ import annotations

import pytest

from flowrunner.model.ids import Json
from flowrunner.nodes.messages import masked, printable


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("plain ä", "plain ä", id="text"),
        pytest.param(None, "", id="null"),
        pytest.param(False, "false", id="boolean"),
        pytest.param({"a": ["ä", 1.5]}, '{"a":["ä",1.5]}', id="json"),
        pytest.param("\ud800x\udc00", "\\ud800x\\udc00", id="half-pairs"),
    ],
)
def test_value_becomes_text_that_can_be_written(value: Json, expected: str) -> None:
    """Every JSON value has a text, and every such text is valid UTF-8."""
    assert printable(value) == expected
    printable(value).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("key hunter22!", "key ***!", id="one"),
        pytest.param("hunter22hunter22", "******", id="twice"),
        pytest.param("hunter2", "hunter2", id="not-whole"),
        pytest.param("\ud800 hunter22", "\\ud800 ***", id="beside-half-a-pair"),
        pytest.param("p\udcffssword", "p\\udcffssword", id="bytes-that-are-no-text"),
    ],
)
def test_secret_is_masked(text: str, expected: str) -> None:
    """Stars stand for the whole secret; the rest of the text stays."""
    assert masked(text, ["hunter22"]) == expected


def test_text_without_secrets_stays() -> None:
    """A flow without secrets changes nothing."""
    assert masked("anything ä", []) == "anything ä"
