"""The judge of catching up: what a slot that was looked at late may come to.

It reads `catchup` and `catchup_window` a second time, from the flow format alone. That no slot is
passed over or has two outcomes is judged by the oracle, for every schedule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flowrunner.model.execution import Execution, ScheduleKey, SlotRun
from flowrunner.model.flow import Catchup, ScheduleTrigger
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import Reason, SlotOutcome
from flowrunner.registry.entry import FlowEntry

GRACE_S = 60.0
"""So late a slot starts in any case. Source: FLOW_FORMAT 3, `catchup`."""

_SLACK_S = 45.0
"""From a look at what is late to what becomes of it: the disk, and a clock that nobody watches."""

LOOKED_AT_S = 120.0
"""After so long somebody has looked at every slot that is due."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a schedule said, and from when on; monotonic seconds."""

    since: float
    catchup: Catchup
    window_s: float

    @property
    def latest_s(self) -> float:
        """How late a slot may start."""
        return GRACE_S if self.catchup is Catchup.NONE else max(self.window_s, GRACE_S)


@dataclass(slots=True)
class _Known:
    """A schedule: what it says, with what it said lately; and when it left force."""

    trigger: ScheduleTrigger
    rules: deque[_Rule] = field(default_factory=lambda: deque(maxlen=20))
    is_in_force: bool = True


class SlotJudge:
    """Judges late slots.

    Args:
        tables: What is durable.
        monotonic: The time that passes.
        now: What the clock shows.
        is_calm: Whether nothing has interrupted executions in this life.
        fail: Told of a broken promise.
    """

    def __init__(
        self,
        tables: Any,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        is_calm: Callable[[], bool],
        fail: Callable[[str], None],
    ) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._now = now
        self._is_calm = is_calm
        self._fail = fail
        self._known: dict[ScheduleKey, _Known] = {}
        self._jumped_at = -LOOKED_AT_S

    def jumps(self) -> None:
        """Learns that the clock is set: what is being decided now cannot be judged by it."""
        self._jumped_at = self._monotonic()

    def flows_changed(self, entries: Mapping[FlowKey, FlowEntry]) -> None:
        """Learns what is in force."""
        found = {
            ScheduleKey(
                flow=key, trigger=trigger.id, fingerprint=trigger.schedule.fingerprint
            ): trigger
            for key, entry in entries.items()
            if entry.spec is not None
            for trigger in entry.spec.schedules
        }
        for schedule, known in self._known.items():
            known.is_in_force = schedule in found
        for schedule, trigger in found.items():
            known = self._known.setdefault(schedule, _Known(trigger))
            known.trigger, known.is_in_force = trigger, True
            rule = _Rule(self._monotonic(), trigger.catchup, float(trigger.catchup_window_s))
            last = known.rules[-1] if known.rules else None
            if last is None or (last.catchup, last.window_s) != (rule.catchup, rule.window_s):
                known.rules.append(rule)

    def starts(self, schedule: ScheduleKey, execution: Execution, slot: datetime) -> None:
        """Judges that a slot starts: it may not be too late, nor out of its turn."""
        late_s = (execution.created_at - slot).total_seconds()
        rules = list(self._rules(schedule))
        if not rules or self._is_jumping() or late_s <= GRACE_S + _SLACK_S:
            return
        latest_s = max(rule.latest_s for rule in rules)
        if late_s > latest_s + _SLACK_S:
            self._fail(
                f"the slot {slot} of {schedule} starts {late_s:.0f} s late, "
                f"and {rules[-1].catchup} lets none start after {latest_s:.0f} s"
            )
        if all(rule.catchup is Catchup.ALL for rule in rules) and self._is_calm():
            for other in self._under_way(schedule):
                if other != execution.id:
                    self._fail(f"the slot {slot} of {schedule} starts beside {other}, not after it")

    def records(self, run: SlotRun) -> None:
        """Judges that slots are missed: as their schedule says, while it is in force."""
        known, rules = self._known.get(run.schedule), list(self._rules(run.schedule))
        if known is None or run.outcome is not SlotOutcome.MISSED or self._is_jumping():
            return
        late_s = (run.decided_at - run.last).total_seconds()
        words = {rule.catchup for rule in rules}
        if run.reason == Reason.WINDOW:
            window_s = min(max(rule.window_s, GRACE_S) for rule in rules)
            if words == {Catchup.NONE} or late_s < window_s - 1:
                self._fail(f"{run.last} of {run.schedule} is beyond a window after {late_s:.0f} s")
        elif run.reason == Reason.SUPERSEDED:
            if Catchup.LATEST not in words:
                self._fail(f"{run.last} of {run.schedule} is superseded, and its word is {words}")
        elif known.is_in_force and Catchup.NONE not in words:
            self._fail(f"{run.last} of {run.schedule} is {run.reason}, and its word is {words}")

    def look(self) -> None:
        """Judges, when the disk has been well for a while, that nobody forgot a slot."""
        until = self._now() - timedelta(seconds=LOOKED_AT_S)
        for schedule, known in self._known.items():
            cursor = self._tables.cursors.get(schedule)
            if not known.is_in_force or cursor is None or any(self._under_way(schedule)):
                continue
            first = known.trigger.schedule.next_after(cursor)
            if first is not None and first <= until:
                self._fail(f"nobody has looked at the slot {first} of {schedule}")

    def _rules(self, schedule: ScheduleKey) -> Iterator[_Rule]:
        """Yields what a schedule says, and said when a look may have begun."""
        known = self._known.get(schedule)
        rules = list(known.rules) if known is not None else []
        for rule, after in zip(rules, [*rules[1:], None], strict=True):
            if after is None or self._monotonic() - after.since <= _SLACK_S:
                yield rule

    def _is_jumping(self) -> bool:
        return self._monotonic() - self._jumped_at <= _SLACK_S

    def _under_way(self, schedule: ScheduleKey) -> Iterator[str]:
        for id_, each in self._tables.executions.items():
            cause = each.cause
            if not each.state.is_final and (each.flow, cause.trigger_id) == (
                schedule.flow,
                schedule.trigger,
            ):
                yield id_
