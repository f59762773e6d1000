"""Promises of `flowrunner.model.jitter`: how much later a start is, and that the slot stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from flowrunner.model.ids import FlowKey
from flowrunner.model.jitter import delayed, jitter_delay
from flowrunner.model.schedule import EverySchedule, Schedule, last_between, parse_cron

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FLOW = FlowKey("default", "backup")


def test_delay_never_changes() -> None:
    """Another release gives the same delay, or every start would move with an upgrade."""
    assert jitter_delay(FLOW, "host-a", 600) == timedelta(seconds=453)


def test_delay_is_spread_over_the_whole_jitter() -> None:
    """A thousand flows fill each tenth of the jitter, and none is as late as the jitter itself."""
    delays = [jitter_delay(FlowKey("default", f"f{n}"), "host-a", 600.0) for n in range(1_000)]
    assert min(delays) >= timedelta()
    assert max(delays) < 10 * MINUTE
    tenths = [sum(1 for delay in delays if delay // MINUTE == n) for n in range(10)]
    assert min(tenths) > 60


def test_delay_differs_by_account_flow_and_host() -> None:
    """The same flow on two hosts, or two flows on one, do not start at the same moment."""
    delays = {
        jitter_delay(FLOW, "host-a", 600),
        jitter_delay(FLOW, "host-b", 600),
        jitter_delay(FlowKey("default", "restore"), "host-a", 600),
        jitter_delay(FlowKey("team", "backup"), "host-a", 600),
    }
    assert len(delays) == 4


def test_many_flows_share_their_moments() -> None:
    """Ten thousand flows with ten minutes of jitter are six hundred timers at most."""
    delays = {jitter_delay(FlowKey("default", f"f{n}"), "host-a", 600.0) for n in range(10_000)}
    assert len(delays) <= 600


def test_short_jitter_is_spread_within_its_seconds() -> None:
    """A jitter of a second is one, too: thousands of flows do not start at two moments."""
    delays = {jitter_delay(FlowKey("default", f"f{n}"), "host-a", 1.0) for n in range(1_000)}
    assert len(delays) > 300
    assert max(delays) < timedelta(seconds=1)


def test_without_jitter_nothing_is_added() -> None:
    """A schedule without jitter is its own timer, which many flows share."""
    schedule = parse_cron("@hourly")
    assert jitter_delay(FLOW, "host-a", 0.0) == timedelta()
    assert delayed(schedule, timedelta()) is schedule


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(EverySchedule(period_s=60), id="every"),
        pytest.param(parse_cron("*/20 1-3 * * *", "Europe/Berlin"), id="cron"),
    ],
)
@pytest.mark.parametrize("delay", [timedelta(milliseconds=1), 7 * MINUTE, 90 * MINUTE])
def test_starts_are_the_slots_moved(schedule: Schedule, delay: timedelta) -> None:
    """Each slot has its start, the delay later, also when the delay is longer than the distance."""
    until = NOON + timedelta(days=200)
    slots = list(islice(schedule.slots_between(NOON, until), 50))
    starts = delayed(schedule, delay)
    assert list(islice(starts.slots_between(NOON + delay, until), 50)) == [
        slot + delay for slot in slots
    ]
    assert last_between(starts, NOON, slots[9] + delay) == slots[9] + delay
    assert starts.fingerprint == schedule.fingerprint
