"""The triggers of one type are found among those of a flow, in their order."""

from __future__ import annotations

import pytest

from flowrunner.model.flow import ScheduleTrigger
from flowrunner.model.ids import Json
from tests.fakes.definitions import hook, spec

EVERY: Json = {"type": "schedule", "every": "5m"}
ONE: Json = {"id": "one", "type": "schedule", "every": "1h"}
OFF: Json = {"type": "start", "enabled": False}
START: Json = {"id": "start", "type": "start"}


@pytest.mark.parametrize(
    ("triggers", "schedules", "webhooks", "starts"),
    [
        pytest.param([], [], [], [], id="none"),
        pytest.param([EVERY], ["schedule"], [], [], id="the only one"),
        pytest.param([START], [], [], ["start"], id="another one"),
        pytest.param([OFF], [], [], [], id="not enabled"),
        pytest.param(
            [ONE, {"id": "hook", **hook("a")}, {**ONE, "id": "other"}, START],
            ["one", "other"],
            ["hook"],
            ["start"],
            id="several",
        ),
    ],
)
def test_triggers_of_a_type_are_found(
    triggers: list[Json], schedules: list[str], webhooks: list[str], starts: list[str]
) -> None:
    """Whether a flow has one trigger, as most have, or several."""
    flow = spec("a", triggers=triggers)
    found = [[each.id for each in some] for some in (flow.schedules, flow.webhooks, flow.starts)]
    assert found == [schedules, webhooks, starts]
    assert all(isinstance(each, ScheduleTrigger) for each in flow.schedules)
