"""A flow as it is shown: what is in force, what keeps a newer version out, when it is due.

It puts together what others know; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flowrunner.model.event_triggers import EventTrigger, FileTrigger, FlowTrigger, StartTrigger
from flowrunner.model.execution import Execution
from flowrunner.model.flow import ScheduleTrigger, Trigger, WebhookTrigger, trigger_type
from flowrunner.model.quantities import render_duration
from flowrunner.model.schedule import EverySchedule
from flowrunner.registry.entry import FlowEntry
from flowrunner.service.views import FlowView, InputView, LastExecution, TriggerView

NextSlot = Callable[[str], datetime | None]
"""The next slot of an armed schedule of the flow, by the id of its trigger."""


def flow_view(entry: FlowEntry, last: Execution | None, next_slot: NextSlot) -> FlowView:
    """Returns the view of a flow.

    Args:
        entry: The flow as of the last pass.
        last: Its newest ended execution.
        next_slot: Asked for each of its schedules.
    """
    spec = entry.spec
    return FlowView(
        key=entry.key,
        description=spec.description if spec else "",
        labels=spec.labels if spec else {},
        path=entry.path,
        revision=entry.revision,
        digest=entry.digest,
        generation=entry.generation,
        observed_generation=entry.observed_generation,
        conditions=entry.conditions,
        inputs=tuple(
            InputView(
                name=name,
                type=str(declared.type),
                required=declared.required,
                default=declared.default,
                description=declared.description,
            )
            for name, declared in (spec.inputs if spec else {}).items()
        ),
        triggers=tuple(_trigger(each, next_slot) for each in (spec.triggers if spec else ())),
        last_execution=None
        if last is None
        else LastExecution(id=last.id, state=last.state, ended_at=last.ended_at),
        findings=entry.findings,
    )


def _trigger(trigger: Trigger, next_slot: NextSlot) -> TriggerView:
    common: dict[str, Any] = {
        "id": trigger.id,
        "type": trigger_type(trigger),
        "is_enabled": trigger.is_enabled,
    }
    if isinstance(trigger, WebhookTrigger):
        return TriggerView(**common, path=trigger.path)
    if not isinstance(trigger, ScheduleTrigger):
        return _event(trigger, common)
    schedule = trigger.schedule
    common["next_slot_at"] = next_slot(trigger.id)
    if trigger.jitter_s:
        common["jitter"] = render_duration(trigger.jitter_s)
    if isinstance(schedule, EverySchedule):
        return TriggerView(**common, every=render_duration(schedule.period_s))
    return TriggerView(
        **common, cron=schedule.written, timezone=schedule.timezone, dst=schedule.dst
    )


def _event(trigger: EventTrigger, common: dict[str, Any]) -> TriggerView:
    match trigger:
        case StartTrigger():
            return TriggerView(**common, once_per=str(trigger.once_per))
        case FlowTrigger():
            states = tuple(sorted(map(str, trigger.states)))
            return TriggerView(**common, flow=trigger.flow, states=states)
        case FileTrigger():
            return TriggerView(**common, path=trigger.path)
