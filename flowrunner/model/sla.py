"""What a flow promises of itself, and a promise that was not kept. Source: FLOW_FORMAT 2, `sla`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import ExecutionId, FlowKey


class SlaKind(StrEnum):
    """The promises; the keys of `sla`."""

    START_WITHIN = "start_within"
    MAX_DURATION = "max_duration"
    MAX_SINCE_SUCCESS = "max_since_success"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlaSpec:
    """The promises of a flow, in seconds; None for one that is not made.

    Attributes:
        start_within_s: From the moment at which a slot is to start, its jitter included.
        max_duration_s: From the start of an execution, on the wall clock.
        max_since_success_s: From the end of one success to that of the next.
    """

    start_within_s: float | None = None
    max_duration_s: float | None = None
    max_since_success_s: float | None = None

    @property
    def kinds(self) -> tuple[SlaKind, ...]:
        """The promises that are made."""
        return tuple(kind for kind in SlaKind if getattr(self, f"{kind}_s") is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A promise that was not kept.

    Attributes:
        execution: Which one is late; None where none is, as for slots that were missed.
        since: From when the promise counts: the start that was due, the start of the execution, the
            last success.
        limit_s: What was promised.
        count: How many breaches these are: slots that were missed are told together.
    """

    flow: FlowKey
    kind: SlaKind
    execution: ExecutionId | None
    since: datetime
    limit_s: float
    count: int = 1
