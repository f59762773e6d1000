"""What became of a slot, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from flowrunner.model.ids import Json
from flowrunner.model.quantities import render_duration
from flowrunner.model.states import Reason, SlotOutcome
from flowrunner.service.slot_views import SlotView

SKIPPED: Mapping[str, str] = {
    Reason.CONCURRENCY: "another execution was in the way",
    Reason.SUPERSEDED: "it waited, and the next slot took its place",
    Reason.REPLACED: "it waited, and a newer start replaced it",
    Reason.CANCELLED: "it waited, and somebody cancelled it",
    Reason.SUSPENDED: "the file of the flow said suspend",
    Reason.PAUSED: "the flow was paused",
    Reason.DISABLED: "the trigger was disabled",
    Reason.NOT_READY: "the flow was not ready",
    Reason.IF_FALSE: "the condition of its trigger was false",
    Reason.OBSERVE: "the daemon only observed",
    Reason.DRAINING: "the daemon was stopping",
    Reason.DISK: "the disk had too little room",
    Reason.DELETED: "the flow or its schedule was being removed",
}
MISSED: Mapping[str, str] = {
    Reason.DOWN: (
        "the daemon or its host was down, or its clock was set forward,"
        " and the schedule catches nothing up"
    ),
    Reason.DISK: "it could not be recorded, and the schedule catches nothing up",
    Reason.WINDOW: "it came too late to be caught up",
    Reason.SUPERSEDED: "it was lost, and a later slot was caught up in its place",
}


def moment_text(at: datetime) -> str:
    """Returns a moment in UTC, to the second unless it has a fraction."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def sentence_of(view: SlotView) -> str:
    """Returns what became of a slot, with the evidence, as the rest of a sentence."""
    trigger, text = view.place.trigger, "".join(_evidence(view))
    version = f" (version {view.digest.removeprefix('sha256:')[:12]})" if view.digest else ""
    if view.outcome is None:
        return f"waits in line as {view.execution} ({trigger}){version}"
    word = "decided" if view.is_last else "decided by"  # a row holds the time of its last slot
    decided = "" if view.decided_at is None else f", {word} {moment_text(view.decided_at)}"
    if view.outcome is SlotOutcome.STARTED:
        late = ""
        if view.decided_at is not None:
            late = f" {(view.decided_at - view.place.slot_at).total_seconds():.1f}s after the slot"
        return f"started {view.execution}{late} ({trigger}){version}"
    known = MISSED if view.outcome is SlotOutcome.MISSED else SKIPPED
    why = known.get(view.reason, "")
    colon = ": " if why or text else ""
    many = f", with {view.count - 1} others since {_first(view)}" if view.count > 1 else ""
    return f"{view.outcome} ({view.reason}){colon}{why}{text}{many} ({trigger}){version}{decided}"


def _first(view: SlotView) -> str:
    return moment_text(view.first_at or view.place.slot_at)


def _evidence(view: SlotView) -> list[str]:
    evidence, parts = view.evidence, []
    if view.execution is not None and view.outcome is SlotOutcome.SKIPPED:
        parts.append(f"; its execution was {view.execution}")
    if ids := evidence.get("executions"):
        parts.append(f": {', '.join(map(str, ids))}")
    if condition := evidence.get("if"):
        parts.append(f": {condition}")
    if message := evidence.get("message"):
        parts.append(f": {message}")
    if view.reason == Reason.PAUSED:
        parts.append(_pause(evidence))
    if by := evidence.get("by_slot"):
        parts.append(f": {moment_text(datetime.fromisoformat(by))}")
    if (window := evidence.get("window_s")) is not None:
        parts.append(f": the window is {render_duration(window)}")
    if lost_to := evidence.get("lost_to"):
        parts.append(f" (lost to: {lost_to})")
    return parts


def _pause(evidence: Mapping[str, Json]) -> str:
    reason, until, uid = (evidence.get(name) for name in ("pause_reason", "until", "uid"))
    who = f" by user {uid}" if uid is not None else ""
    end = f" until {moment_text(datetime.fromisoformat(until))}" if until else ""
    who = f", as all schedules are{who}" if evidence.get("all_schedules") else who
    return f"{who}{end}" + (f": {reason}" if reason else "")
