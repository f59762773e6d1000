"""The few words of the status line about what is wrong with the daemon."""

from __future__ import annotations

from flowrunner.model.conditions import Condition, ConditionReason, ConditionType, Status
from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.service.restored import state_restored
from flowrunner.service.troubles import trouble_of
from flowrunner.storage.health import Restored
from tests.fakes.clock import FakeClock
from tests.fakes.records import NOON


def test_what_is_wrong_is_told_and_nothing_else() -> None:
    """Channels that work are none, nor files that are looked for; a lost state comes first."""
    health = ChannelHealth(["oncall"], FakeClock(loop=None))
    assert trouble_of(()) == trouble_of(health.conditions) == ""
    looked_for = Condition(
        type=ConditionType.FILES_WATCHED,
        status=Status.FALSE,
        reason=ConditionReason.WATCH_FAILED,
        last_transition_at=NOON,
    )
    assert trouble_of((looked_for,)) == ""
    health.failed("oncall", "answered 503")
    assert trouble_of(health.conditions) == "a channel fails, see `flowrunner status`"
    lost = state_restored(Restored(at=NOON, origin="", quarantined=""))
    assert trouble_of((lost, *health.conditions)) == "state restored, see `flowrunner status`"
