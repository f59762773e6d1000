"""What failures of a flow come to: which rules tell one, and which tell that it is over. Pure.

`failed` and `timed_out` count, `cancelled` does not. Source: FLOW_FORMAT 2, "Counting".
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from flowrunner.dataclass import dataclass
from flowrunner.model.notify import NotifyOn, NotifyRule, NotifyRules
from flowrunner.model.states import ExecutionState

FAILURES = (ExecutionState.FAILED, ExecutionState.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The failures of one flow, as far as rules look back.

    Attributes:
        failures: How many in a row.
        recent: When the latest failures were, in a row or not, the oldest first; kept for windows.
        told: Thresholds of rules that these failures have reached since the last success.
    """

    failures: int = 0
    recent: tuple[datetime, ...] = ()
    told: frozenset[str] = frozenset()

    def to_text(self) -> str:
        """Returns it as it is kept."""
        recent = [each.astimezone(UTC).isoformat() for each in self.recent]
        return json.dumps({"failures": self.failures, "recent": recent, "told": sorted(self.told)})


QUIET = Alarm()
"""No failure."""


def alarm_of(text: str) -> Alarm:
    """Returns the alarm that was kept."""
    kept = json.loads(text)
    recent = tuple(datetime.fromisoformat(each) for each in kept["recent"])
    return Alarm(failures=kept["failures"], recent=recent, told=frozenset(kept["told"]))


def after_end(
    alarm: Alarm, rules: NotifyRules, state: ExecutionState, at: datetime
) -> tuple[Alarm, dict[NotifyOn, NotifyRules]]:
    """Returns the alarm after the end of an execution, and which rules tell what of it."""
    if state in FAILURES:
        return _after_failure(alarm, rules, at)
    if state is not ExecutionState.SUCCEEDED:
        return alarm, {}
    told = {
        NotifyOn.SUCCEEDED: _that_tell(rules, NotifyOn.SUCCEEDED),
        NotifyOn.RECOVERED: tuple(
            rule for rule in _that_tell(rules, NotifyOn.RECOVERED) if rule.threshold in alarm.told
        ),
    }
    return replace(alarm, failures=0, told=frozenset()), told


def _after_failure(
    alarm: Alarm, rules: NotifyRules, at: datetime
) -> tuple[Alarm, dict[NotifyOn, NotifyRules]]:
    failures = alarm.failures + 1
    recent = _recent((*alarm.recent, at), rules, at)
    reached = [rule for rule in rules if _is_reached(rule, failures, recent, at)]
    told = alarm.told.union(rule.threshold for rule in reached)
    found = _that_tell(tuple(reached), NotifyOn.FAILED)
    return Alarm(failures=failures, recent=recent, told=told), {NotifyOn.FAILED: found}


def _is_reached(
    rule: NotifyRule, failures: int, recent: tuple[datetime, ...], at: datetime
) -> bool:
    window = rule.window
    if failures < rule.after_consecutive:
        return False
    if window is None:
        return True
    since = at - timedelta(seconds=window.within_s)
    return sum(1 for each in recent if each > since) >= window.failures


def _recent(times: tuple[datetime, ...], rules: NotifyRules, at: datetime) -> tuple[datetime, ...]:
    """Returns the times at which a window may still look."""
    windows = [rule.window for rule in rules if rule.window is not None]
    if not windows:
        return ()
    since = at - timedelta(seconds=max(window.within_s for window in windows))
    most = max(window.failures for window in windows)
    return tuple(each for each in times if each > since)[-most:]


def _that_tell(rules: NotifyRules, on: NotifyOn) -> NotifyRules:
    return tuple(rule for rule in rules if on in rule.on)
