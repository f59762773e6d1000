"""docs/webhooks.md against the code: reasons, outcomes and keys of deliveries."""

from __future__ import annotations

from flowrunner.model.delivery_record import (
    LONGEST_NAME,
    MOST_PROVEN,
    MOST_UNPROVEN,
    DeliveryOutcome,
    DeliveryReason,
)
from flowrunner.web.delivery_wire import delivery_json
from tests.fakes.records import make_delivery
from tests.unit.docs.pages import code_spans, read, rows, section

PAGE = read("docs/webhooks.md")
WHY = section(PAGE, "## Why did my push not start it")


def test_every_reason_is_explained() -> None:
    """The table has each word once, with its outcome, in the order of the code."""
    told = [(code_spans(row[0])[0], row[1]) for row in rows(WHY) if len(row) == 3]
    assert told == [(str(reason), str(reason.outcome)) for reason in DeliveryReason]


def test_outcomes_and_keys_are_named() -> None:
    """What `--outcome` takes, and the keys of an item of the API."""
    spans = code_spans(WHY)
    assert " ".join(DeliveryOutcome) in spans
    assert " ".join(delivery_json(make_delivery(), redacted=False)) in spans


def test_bounds_are_those_of_the_code() -> None:
    """How much is kept is a promise."""
    assert f"newest {MOST_PROVEN:,} that proved" in " ".join(WHY.split())
    assert f"{MOST_UNPROVEN} rows of each flow" in " ".join(WHY.split())
    assert f"cut to {LONGEST_NAME} characters" in " ".join(WHY.split())
