"""What happened to a flow: its versions, conditions that changed, and promises that were broken.

Events are the history of what conditions say of now. They are kept for each flow in order, the
newest so many, and over a restart.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.conditions import Condition, Status
from flowrunner.model.ids import Digest, FlowKey, Revision

MOST_EVENTS = 100
"""Events that are kept of one flow, the newest."""

DEFINITION = "Definition"
"""The `type` of events that are about versions."""

SLA = "Sla"
"""The `type` of events that are about promises; all others have that of a condition."""

_NO_DIGEST = Digest("")


class DefinitionEvent(StrEnum):
    """Reasons of events about versions; each is explained in `docs/conditions.md`."""

    CREATED = "Created"
    APPLIED = "Applied"
    REJECTED = "Rejected"
    HELD = "Held"
    RETURNED = "Returned"
    DELETED = "Deleted"


class SlaEvent(StrEnum):
    """Reasons of events about promises, by the names of `SlaKind`."""

    START_WITHIN = "StartWithin"
    MAX_DURATION = "MaxDuration"
    MAX_SINCE_SUCCESS = "MaxSinceSuccess"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowEvent:
    """One event.

    Attributes:
        number: 1 for the first of the flow, then one more each; also over deletion and return.
        type: `Definition`, `Sla`, or the type of the condition that changed.
        status: The new status of the condition; None where it is about something else.
        reason: A `DefinitionEvent`, a `SlaEvent`, or the reason of the condition.
        revision: What the source was.
        generation: The newest that was known of the flow; 0 for one that left.
    """

    flow: FlowKey
    number: int
    at: datetime
    type: str
    status: Status | None = None
    reason: str
    message: str = ""
    revision: Revision
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """What the events so far have told of a flow: the next ones are the difference to it.

    Attributes:
        number: Of its newest event.
        digest: Of the version that is in force by them; empty: none.
        rejected: Content that was refused last, while it still is what the file says; else empty.
        is_held: Whether its removal waits for an approval.
        is_gone: Whether it has left.
    """

    number: int
    conditions: tuple[Condition, ...] = ()
    digest: Digest = _NO_DIGEST
    rejected: str = ""
    is_held: bool = False
    is_gone: bool = False
