"""The conditions of a flow and of the source, worked out from facts."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from flowrunner.definitions import codes
from flowrunner.definitions.folder_defaults import DEFAULTS_FILE
from flowrunner.model.conditions import (
    Condition,
    ConditionReason,
    ConditionType,
    Status,
    merge_conditions,
)
from flowrunner.model.finding import Finding
from flowrunner.model.ids import DEFAULT_ACCOUNT
from flowrunner.model.pause import Pause
from flowrunner.registry.entry import FlowEntry, PruneHold
from flowrunner.system.watcher import WatchStatus

_Conditions: TypeAlias = tuple[Condition, ...]

_REASONS = {
    codes.DUPLICATE_FLOW.code: ConditionReason.DUPLICATE_NAME,
    codes.UNIDENTIFIED_FILE.code: ConditionReason.UNIDENTIFIED_FILE,
    codes.PROTECTED_FLOW.code: ConditionReason.PROTECTED_FLOW,
    codes.WEBHOOK_PATH_TAKEN.code: ConditionReason.WEBHOOK_PATH_CLAIMED,
    codes.FLOW_CYCLE.code: ConditionReason.FLOW_CYCLE,
    codes.GROUP_DEADLOCK.code: ConditionReason.GROUP_DEADLOCK,
    codes.CALL_INPUTS.code: ConditionReason.CALL_INPUTS,
}
"""What is wrong between files, and not within one."""


def flow_conditions(
    entry: FlowEntry, pause: Pause | None, now: datetime, labels: tuple[str, ...] = ()
) -> tuple[Condition, ...]:
    """Returns all conditions of a flow, with their transition times.

    `labels` are those that this host lacks for it.
    """
    if _is_troubled(entry):
        ready, valid = _ready(entry, now), _valid(entry, now)
    else:
        ready, valid = _good(now)
    scheduled, suspended = _scheduled(entry, labels, now), _suspended(entry, now)
    new = (ready, valid, scheduled, suspended, _paused(pause, now))
    return merge_conditions(entry.conditions, new)


class Alike:
    """Works conditions out once for all flows that are alike, as most of ten thousand are."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[_Conditions, _Conditions]] = {}

    def forget(self) -> None:
        """Lets go of what was worked out; the moment of a later pass is another one."""
        self._known = {}

    def conditions(
        self, entry: FlowEntry, pause: Pause | None, now: datetime, labels: tuple[str, ...] = ()
    ) -> _Conditions:
        """Returns what `flow_conditions` does, the same object for flows that are alike."""
        if pause or labels or _is_troubled(entry) or entry.spec is None:
            return flow_conditions(entry, pause, now, labels)
        before, spec = entry.conditions, entry.spec
        may_start = [schedule.is_enabled for schedule in spec.schedules]
        kind = (id(before), bool(may_start), any(may_start), spec.is_suspended, now)
        known = self._known.get(kind)
        if known is None:  # with what it began with, whose id nothing else has so long
            known = self._known[kind] = before, flow_conditions(entry, pause, now, labels)
        return known[1]


def unread_conditions(
    recorded: tuple[Condition, ...], now: tuple[Condition, ...]
) -> tuple[Condition, ...]:
    """Returns the conditions of a flow whose file was not looked at in this life yet.

    A file that was invalid when it was last read counts as invalid until it is read again.
    """
    if not is_invalid(recorded):
        return now
    of_file: dict[ConditionType, Condition] = {
        condition.type: condition
        for condition in recorded
        if condition.type in (ConditionType.VALID, ConditionType.READY)
        and condition.status is Status.FALSE
    }
    return tuple(of_file.get(condition.type, condition) for condition in now)


def is_invalid(conditions: tuple[Condition, ...]) -> bool:
    """Whether they say that the file of a flow is invalid."""
    found = (each.status for each in conditions if each.type is ConditionType.VALID)
    return next(found, None) is Status.FALSE


def source_condition(
    before: tuple[Condition, ...], reason: ConditionReason, message: str, now: datetime
) -> tuple[Condition, ...]:
    """Returns all conditions, with `SourceReady` renewed: true for `SourceRead` alone."""
    status = Status.TRUE if reason is ConditionReason.SOURCE_READ else Status.FALSE
    return renewed(before, _condition(ConditionType.SOURCE_READY, status, reason, message, now))


def watched_condition(
    before: tuple[Condition, ...], watch: WatchStatus, now: datetime
) -> tuple[Condition, ...]:
    """Returns all conditions, with `SourceWatched` renewed: whether changes are heard of."""
    status = Status.TRUE if watch.is_alive else Status.FALSE
    reason = ConditionReason.WATCHING if watch.is_alive else ConditionReason.WATCH_FAILED
    if watch.is_network:
        reason = ConditionReason.NETWORK_FILE_SYSTEM
    return renewed(
        before,
        _condition(ConditionType.SOURCE_WATCHED, status, reason, watch.message, now),
    )


def prune_condition(
    before: tuple[Condition, ...], hold: PruneHold | None, now: datetime
) -> tuple[Condition, ...]:
    """Returns all conditions, with `PruneHeld` renewed: whether a deletion waits for approval."""
    status, reason, text = Status.FALSE, ConditionReason.NOTHING_HELD, ""
    if hold is not None:
        status, reason, text = Status.TRUE, hold.reason, hold.message
    return renewed(before, _condition(ConditionType.PRUNE_HELD, status, reason, text, now))


def renewed(before: tuple[Condition, ...], new: Condition) -> tuple[Condition, ...]:
    """Puts a condition in the place of the one of its type, or at the end."""
    kinds = [condition.type for condition in before]
    if new.type not in kinds:
        return (*before, new)
    return merge_conditions(before, (new if c.type is new.type else c for c in before))


def _is_troubled(entry: FlowEntry) -> bool:
    """Whether anything but its times speaks against it."""
    return bool(entry.findings or entry.bar or entry.missing_secrets or entry.refused_user)


def _ready(entry: FlowEntry, now: datetime) -> Condition:
    first = _first_error(entry.findings)
    if first is not None:
        reason = _REASONS.get(first.code, _usual_reason(entry, first))
        return _condition(ConditionType.READY, Status.FALSE, reason, _text(first), now)
    if entry.bar is not None:
        bar = entry.bar
        return _condition(ConditionType.READY, Status.FALSE, bar.reason, bar.message, now)
    if entry.missing_secrets:
        names = ", ".join(entry.missing_secrets)
        text = f"{_whose(entry.key.account)} has no secret {names}"
        return _condition(
            ConditionType.READY, Status.FALSE, ConditionReason.SECRET_MISSING, text, now
        )
    if entry.refused_user:
        reason = ConditionReason.USER_NOT_PERMITTED
        return _condition(ConditionType.READY, Status.FALSE, reason, entry.refused_user, now)
    unknown = next((f for f in entry.findings if f.code == codes.UNKNOWN_FLOW.code), None)
    if unknown is not None:
        return _condition(
            ConditionType.READY, Status.FALSE, ConditionReason.FLOW_MISSING, _text(unknown), now
        )
    return _condition(ConditionType.READY, Status.TRUE, ConditionReason.READY, "", now)


@lru_cache(maxsize=16)
def _good(now: datetime) -> tuple[Condition, Condition]:
    """Returns the first two conditions of a flow without trouble, as most are."""
    return (
        _condition(ConditionType.READY, Status.TRUE, ConditionReason.READY, "", now),
        _condition(ConditionType.VALID, Status.TRUE, ConditionReason.VALID, "", now),
    )


def _whose(account: str) -> str:
    return "this host" if account == DEFAULT_ACCOUNT else f"account {account} of this host"


def _usual_reason(entry: FlowEntry, first: Finding) -> ConditionReason:
    if first.file.rpartition("/")[2] == DEFAULTS_FILE:
        return ConditionReason.DEFAULTS_INVALID
    return ConditionReason.INVALID_NEW_VERSION if entry.spec else ConditionReason.INVALID


def _valid(entry: FlowEntry, now: datetime) -> Condition:
    first = _first_error(entry.findings)
    if first is None:
        return _condition(ConditionType.VALID, Status.TRUE, ConditionReason.VALID, "", now)
    return _condition(ConditionType.VALID, Status.FALSE, ConditionReason.INVALID, _text(first), now)


def _scheduled(entry: FlowEntry, labels: tuple[str, ...], now: datetime) -> Condition:
    if entry.spec is None:
        return _condition(ConditionType.SCHEDULED, Status.FALSE, ConditionReason.NOT_READY, "", now)
    if labels:
        text = f"this host has no label {', '.join(labels)}"
        return _condition(
            ConditionType.SCHEDULED, Status.FALSE, ConditionReason.OTHER_HOST, text, now
        )
    schedules = entry.spec.schedules
    if not schedules:
        return _condition(
            ConditionType.SCHEDULED, Status.FALSE, ConditionReason.NO_SCHEDULE, "", now
        )
    if not any(schedule.is_enabled for schedule in schedules):
        text = "each of its schedules says enabled: false"
        return _condition(
            ConditionType.SCHEDULED, Status.FALSE, ConditionReason.DISABLED, text, now
        )
    return _condition(ConditionType.SCHEDULED, Status.TRUE, ConditionReason.SCHEDULED, "", now)


def _suspended(entry: FlowEntry, now: datetime) -> Condition:
    if entry.spec is None or not entry.spec.is_suspended:
        return _condition(
            ConditionType.SUSPENDED, Status.FALSE, ConditionReason.NOT_SUSPENDED, "", now
        )
    text = "its file says suspend: true"
    return _condition(ConditionType.SUSPENDED, Status.TRUE, ConditionReason.SUSPENDED, text, now)


def _paused(pause: Pause | None, now: datetime) -> Condition:
    if pause is None:
        return _condition(ConditionType.PAUSED, Status.FALSE, ConditionReason.NOT_PAUSED, "", now)
    reason = ConditionReason.PAUSED
    parts = [] if pause.uid is None else [f"by uid {pause.uid}"]
    if pause.is_automatic:
        reason = ConditionReason.CONSECUTIVE_FAILURES
    if pause.until is not None:
        parts.append(f"until {pause.until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    text = ": ".join(part for part in (" ".join(parts), pause.reason) if part)
    return _condition(ConditionType.PAUSED, Status.TRUE, reason, text, pause.at)


@lru_cache(maxsize=256)  # thousands of flows say the same at the same moment
def _condition(
    kind: ConditionType, status: Status, reason: ConditionReason, message: str, now: datetime
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_at=now,
    )


def _first_error(findings: tuple[Finding, ...]) -> Finding | None:
    return next((finding for finding in findings if finding.is_error), None)


def _text(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
    return f"{place}: {finding.code} {finding.message}"
