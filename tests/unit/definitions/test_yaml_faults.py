"""Promises of `flowrunner.definitions.yaml_faults` that no file can show."""

from __future__ import annotations

from flowrunner.definitions import codes
from flowrunner.definitions.yaml_faults import Complaint, explain


def test_explain_keeps_the_words_of_an_unknown_complaint() -> None:
    """A complaint that a later parser may invent is still told, as a fault of syntax."""
    fault = explain(
        Complaint(problem="found a surprise", context="", at_end=False, rest="x", line="a: x")
    )

    assert fault.message == "this is not YAML: found a surprise"
    assert fault.code is codes.SYNTAX
