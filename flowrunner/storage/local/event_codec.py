"""Events of flows as rows, and back; see `codec.py` for how values are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.model.flow_events import FlowEvent, FlowState
from flowrunner.model.ids import FlowKey, Revision
from flowrunner.storage.local.codec import Row, micros_of, moment_of, text_of

EVENT_COLUMNS = "account, flow, number, at, type, status, reason, message, revision, generation"
"""In the order of `event_row` and `event_of`."""

STATE_COLUMNS = "account, flow, number, conditions, digest, rejected, is_held, is_gone"
"""In the order of `state_row` and `state_of`."""


def event_row(event: FlowEvent) -> Row:
    """Returns the row of an event."""
    return (
        *event.flow,
        event.number,
        micros_of(event.at),
        event.type,
        event.status,
        event.reason,
        _kept_text(event.message),
        event.revision,
        event.generation,
    )


def event_of(row: Row) -> FlowEvent:
    """Returns the event of `EVENT_COLUMNS`."""
    return FlowEvent(
        flow=FlowKey(row[0], row[1]),
        number=row[2],
        at=moment_of(row[3]),
        type=row[4],
        status=None if row[5] is None else Status(row[5]),
        reason=row[6],
        message=_told_text(row[7]),
        revision=Revision(row[8]),
        generation=row[9],
    )


def state_row(flow: FlowKey, state: FlowState, known: dict[int, str]) -> Row:
    """Returns the row of what was told of a flow.

    Args:
        flow: Its key.
        state: What was told.
        known: Texts of conditions by the identity of those, which thousands of flows share; for
            as long as nothing of them is let go.
    """
    conditions = known.get(id(state.conditions))
    if conditions is None:
        conditions = known[id(state.conditions)] = _conditions_text(state.conditions)
    return (
        *flow,
        state.number,
        conditions,
        state.digest,
        state.rejected,
        state.is_held,
        state.is_gone,
    )


def states_of(rows: Iterable[Row]) -> Iterator[tuple[FlowKey, FlowState]]:
    """Yields the flow and the state of each row of `STATE_COLUMNS`."""
    known: dict[str, tuple[Condition, ...]] = {}  # thousands of flows share what they say
    for account, flow, number, text, digest, rejected, is_held, is_gone in rows:
        conditions = known.get(text)
        if conditions is None:
            conditions = known[text] = _conditions_of(text)
        yield (
            FlowKey(account, flow),
            FlowState(
                number=number,
                conditions=conditions,
                digest=digest,
                rejected=rejected,
                is_held=bool(is_held),
                is_gone=bool(is_gone),
            ),
        )


def _kept_text(text: str) -> str | bytes:
    """Returns a text as it is, or in bytes where it quotes what is none.

    The names of files and the words of people need not be UTF-8, which SQLite asks of a text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
    return text


def _told_text(kept: str | bytes) -> str:
    return kept if isinstance(kept, str) else kept.decode(errors="surrogatepass")


def _conditions_text(conditions: tuple[Condition, ...]) -> str:
    return text_of(
        [[c.type, c.status, c.reason, c.message, micros_of(c.last_transition_at)]
         for c in conditions]
    )  # fmt: skip


def _conditions_of(text: str) -> tuple[Condition, ...]:
    """Returns the conditions of a text; those that this version does not know are left out."""
    return tuple(
        _condition_of(kind, status, reason, message, at)
        for kind, status, reason, message, at in json.loads(text)
        if kind in _TYPES and reason in _REASONS
    )


@lru_cache(maxsize=256)  # flows that lack each another secret share all but one
def _condition_of(kind: str, status: str, reason: str, message: str, at: int) -> Condition:
    return Condition(
        type=ConditionType(kind),
        status=Status(status),
        reason=ConditionReason(reason),
        message=message,
        last_transition_at=moment_of(at),
    )


_TYPES = frozenset(ConditionType)
_REASONS = frozenset(ConditionReason)
