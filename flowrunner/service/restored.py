"""What is shown of a state that took the place of a lost one."""

from __future__ import annotations

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.storage.health import Restored


def state_restored(restored: Restored) -> Condition:
    """Returns the condition `StateRestored`, with what a person should know."""
    reason, text = ConditionReason.STATE_LOST, "the state began empty"
    if restored.origin:
        reason = ConditionReason.RESTORED_FROM_BACKUP
        text = f"the state was restored from {restored.origin}"
    if restored.quarantined:
        text += f"; the one before is {restored.quarantined}"
    return Condition(
        type=ConditionType.STATE_RESTORED,
        status=Status.TRUE,
        reason=reason,
        message=f"{text}. Schedules began then, and what was unfinished has ended. "
        "`flowrunner restore --acknowledge` ends this condition",
        last_transition_at=restored.at,
    )
