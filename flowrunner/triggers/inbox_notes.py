"""What is said of folders of files that do not tell what comes into them."""

from __future__ import annotations

from datetime import datetime

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status


def files_unwatched(failure: str, count: int, since: datetime) -> Condition:
    """Returns the condition `FilesWatched` of so many triggers, with the failure of one."""
    more = f", and so of {count - 1} more" if count > 1 else ""
    return Condition(
        type=ConditionType.FILES_WATCHED,
        status=Status.FALSE,
        reason=ConditionReason.WATCH_FAILED,
        message=f"new files of a trigger are found by looking alone: {failure}{more}",
        last_transition_at=since,
    )
