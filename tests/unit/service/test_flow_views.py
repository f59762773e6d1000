"""Views of flows: what their triggers and inputs say."""

from __future__ import annotations

import pytest

from flowrunner.model.ids import Json
from flowrunner.model.schedule import DstPolicy
from flowrunner.service.flow_views import flow_view
from flowrunner.service.views import FlowView, InputView, TriggerView
from tests.fakes.definitions import broken_text, entries, entry, hook, key_of
from tests.fakes.records import NOON


def view_of(**top: Json) -> FlowView:
    """The view of a flow in force, its schedules due at noon."""
    return flow_view(entry("a", **top), None, lambda _name: NOON)


@pytest.mark.parametrize(
    ("trigger", "view"),
    [
        pytest.param(
            {"type": "schedule", "cron": "30 2 * * mon-fri", "timezone": "Europe/Berlin"},
            TriggerView(
                id="schedule",
                type="schedule",
                next_slot_at=NOON,
                cron="30 2 * * mon-fri",
                timezone="Europe/Berlin",
                dst=DstPolicy(),
            ),
            id="cron",
        ),
        pytest.param(
            {"type": "schedule", "cron": "@hourly"},
            TriggerView(
                id="schedule",
                type="schedule",
                next_slot_at=NOON,
                cron="@hourly",
                timezone="UTC",
                dst=DstPolicy(),
            ),
            id="word-in-utc",
        ),
        pytest.param(
            {"type": "schedule", "every": "90m"},
            TriggerView(id="schedule", type="schedule", next_slot_at=NOON, every="1h30m"),
            id="period",
        ),
        pytest.param(
            {"type": "schedule", "every": "90m", "jitter": "5m", "enabled": False},
            TriggerView(
                id="schedule",
                type="schedule",
                next_slot_at=NOON,
                every="1h30m",
                jitter="5m",
                is_enabled=False,
            ),
            id="jitter-and-disabled",
        ),
        pytest.param(
            hook("a/push", enabled=False),
            TriggerView(id="webhook", type="webhook", path="a/push", is_enabled=False),
            id="disabled-hook",
        ),
        pytest.param(
            hook("a/push"), TriggerView(id="webhook", type="webhook", path="a/push"), id="hook"
        ),
    ],
)
def test_trigger_says_when_it_starts_the_flow(trigger: Json, view: TriggerView) -> None:
    """A schedule is shown with its words, its zone and its next slot, a hook with its path."""
    assert view_of(triggers=[trigger]).triggers == (view,)


def test_inputs_are_shown_in_their_order() -> None:
    """Each input is shown with type, default and description, and whether a start must bring it."""
    day = {"type": "string", "description": "The day."}
    view = view_of(inputs={"day": day, "count": {"type": "integer", "default": 3}})
    assert view.inputs == (
        InputView(name="day", type="string", required=True, description="The day."),
        InputView(name="count", type="integer", required=False, default=3),
    )


def test_flow_without_a_version_declares_nothing() -> None:
    """A flow that never was valid has neither inputs nor triggers to show."""
    found = entries({"a.yaml": broken_text("a")})[key_of("a")]
    view = flow_view(found, None, lambda _name: NOON)
    assert (view.inputs, view.triggers) == ((), ())
