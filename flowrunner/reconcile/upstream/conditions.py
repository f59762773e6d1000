"""What the last sync means for the conditions of the source."""

from __future__ import annotations

from datetime import UTC, datetime

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.reconcile.conditions import renewed
from flowrunner.reconcile.upstream.values import Pin, SyncResult

_ABOUT_SIGNATURES = frozenset(
    {
        ConditionReason.NOT_SIGNED,
        ConditionReason.BAD_SIGNATURE,
        ConditionReason.KEYS_UNREADABLE,
    }
)


def synced_conditions(
    before: tuple[Condition, ...], result: SyncResult, *, is_verifying: bool
) -> tuple[Condition, ...]:
    """Returns all conditions with `SourceSynced` and, if signatures count, `SourceVerified`."""
    status = Status.TRUE if result.is_good else Status.FALSE
    new = _condition(ConditionType.SOURCE_SYNCED, status, result.reason, result.message, result.at)
    after = renewed(before, new)
    if not is_verifying:
        return after
    if result.is_good:
        reason, text = ConditionReason.VERIFIED, f"{result.newest[:12]} has a good signature"
        good = _condition(ConditionType.SOURCE_VERIFIED, Status.TRUE, reason, text, result.at)
        return renewed(after, good)
    if result.reason not in _ABOUT_SIGNATURES:
        return after
    bad = _condition(
        ConditionType.SOURCE_VERIFIED, Status.FALSE, result.reason, result.message, result.at
    )
    return renewed(after, bad)


def pinned_conditions(
    before: tuple[Condition, ...], pin: Pin | None, now: datetime
) -> tuple[Condition, ...]:
    """Returns all conditions with `SourcePinned`."""
    kind = ConditionType.SOURCE_PINNED
    if pin is None:
        return renewed(before, _condition(kind, Status.FALSE, ConditionReason.NOT_PINNED, "", now))
    who = "" if pin.uid is None else f" by uid {pin.uid}"
    why = f": {pin.reason}" if pin.reason else ""
    text = (
        f"rolled back to {pin.revision[:12]}{who} at {pin.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        f"{why}; pushes do nothing until `flowrunner source unpin`"
    )
    return renewed(before, _condition(kind, Status.TRUE, ConditionReason.PINNED, text, now))


def _condition(
    kind: ConditionType, status: Status, reason: ConditionReason, message: str, at: datetime
) -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message=message, last_transition_at=at
    )
