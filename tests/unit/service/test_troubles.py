"""The few words of the status line about what is wrong with the daemon."""

from __future__ import annotations

from flowrunner.notify.channel_health import ChannelHealth
from flowrunner.service.restored import state_restored
from flowrunner.service.troubles import trouble_of
from flowrunner.storage.health import Restored
from tests.fakes.clock import FakeClock
from tests.fakes.records import NOON


def test_what_is_wrong_is_told_and_nothing_else() -> None:
    """Channels that work are no trouble; a lost state comes before one that fails."""
    health = ChannelHealth(["oncall"], FakeClock(loop=None))
    assert trouble_of(()) == trouble_of(health.conditions) == ""
    health.failed("oncall", "answered 503")
    assert trouble_of(health.conditions) == "a channel fails, see `flowrunner status`"
    lost = state_restored(Restored(at=NOON, origin="", quarantined=""))
    assert trouble_of((lost, *health.conditions)) == "state restored, see `flowrunner status`"
