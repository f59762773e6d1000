"""What the page of flows says of slots against the code."""

from __future__ import annotations

from flowrunner.service.slot_sentences import MISSED, SKIPPED
from flowrunner.web.slot_wire import slot_json
from tests.fakes.ledger import SLOT
from tests.unit.docs.pages import code_spans, read, rows, section, words_in_code

OUTCOMES = section(read("docs/writing-flows.md"), "### `type: schedule`")
LEDGER = section(read("docs/operating.md"), "## Why it did not run")
WITHOUT_A_SENTENCE = {"expression", "input.invalid", "input.group"}
"""Their evidence is the message, which says it all."""


def test_every_reason_of_a_slot_is_explained() -> None:
    """The table has each outcome with the reasons that a sentence is known for, and no other."""
    told: dict[str, list[str]] = {}
    outcome = ""
    for row in rows(OUTCOMES):
        outcome = next(iter(code_spans(row[0])), outcome)
        told.setdefault(outcome, []).extend(code_spans(row[1]))
    assert told.keys() == {"started", "skipped", "missed"}
    assert told["started"] == []
    assert sorted(told["skipped"]) == sorted({*map(str, SKIPPED), *WITHOUT_A_SENTENCE})
    assert sorted(told["missed"]) == sorted(map(str, MISSED))


def test_keys_of_a_slot_are_named() -> None:
    """Whoever reads the API finds each key of an item on the page."""
    assert set(slot_json(SLOT, redacted=False)) - {"redacted"} <= words_in_code(LEDGER)
