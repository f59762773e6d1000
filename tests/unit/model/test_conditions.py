"""Promises of `flowrunner.model.conditions`: when a transition was, and what flows share."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flowrunner.model.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Status,
    merge_conditions,
)

THEN = datetime(2027, 3, 1, 12, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)
READY = Condition(
    type=ConditionType.READY,
    status=Status.TRUE,
    reason=ConditionReason.READY,
    last_transition_at=THEN,
)


def test_thousands_of_flows_share_what_they_say() -> None:
    """What is first said of a flow is kept as it is, and so is what is said again."""
    before, after = (READY,), (replace(READY, last_transition_at=NOW),)
    assert merge_conditions((), after) is after
    assert merge_conditions(before, after) is before


@pytest.mark.parametrize(
    ("status", "since"), [(Status.TRUE, THEN), (Status.FALSE, NOW), (Status.UNKNOWN, NOW)]
)
def test_a_transition_is_a_change_of_the_status(status: Status, since: datetime) -> None:
    """Another reason or message alone is none."""
    new = replace(READY, status=status, message="another", last_transition_at=NOW)
    (merged,) = merge_conditions((READY,), (new,))
    assert merged == replace(new, last_transition_at=since)
