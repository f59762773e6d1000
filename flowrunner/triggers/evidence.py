"""Why a slot did not start, in a few words for the ledger: small, and stable while it lasts.

Slots with the same evidence share a row, so nothing that changes from one to the next belongs
here.
"""

from __future__ import annotations

from flowrunner.errors import FlowError
from flowrunner.model.ids import Json
from flowrunner.model.pause import Pause
from flowrunner.model.states import Reason

_LONGEST_MESSAGE = 300
_TELLING = frozenset({Reason.NOT_READY.value, "expression"})
"""Codes whose message says more than the code; those of inputs begin with `input.`."""


def evidence_of(error: FlowError, pause: Pause | None = None) -> dict[str, Json]:
    """Returns what stood in the way: executions, a pause, or a message."""
    if error.code == Reason.CONCURRENCY:
        return {"executions": list(error.details.get("executions", ()))}
    if error.code == Reason.PAUSED and pause is not None:
        return pause_evidence(pause)
    if error.code in _TELLING or error.code.startswith("input."):
        return {"message": error.message[:_LONGEST_MESSAGE]}
    return {}


def pause_evidence(pause: Pause) -> dict[str, Json]:
    """Returns who paused, why, and until when."""
    until = None if pause.until is None else pause.until.isoformat()
    return {"pause_reason": pause.reason, "until": until, "uid": pause.uid}
