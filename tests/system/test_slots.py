"""The slot ledger of the real daemon: over a stop of the process, a kill, and while it observes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.faked_time import LIBRARY, fast_time
from tests.system.flow_files import EVERY_SECOND, says, write_flow

STOPPED_S = 120.0 if IS_LONG else 3.0
STOP_S, FAST = 120, 40
"""A stop in seconds of a daemon, and how much faster than the host's its time passes."""
pytestmark = [pytest.mark.system, pytest.mark.timeout(120 + STOPPED_S)]


def slots(running: RunningDaemon, flow: str = "beat", query: str = "") -> list[dict[str, Any]]:
    """Returns all slots of a flow, the latest first, page by page."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        more = f"&cursor={cursor}" if cursor else ""
        target = f"/api/v1/flows/default/{flow}/slots?limit=50{query}{more}"
        page = running.request(target).json
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = page["next_cursor"].replace("+", "%2B")


def later(seconds: float) -> Callable[[], bool]:
    """Says when so much time has passed."""
    due = time.monotonic() + seconds
    return lambda: time.monotonic() >= due


def at(item: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(item["slot_at"])


def seconds_late(item: dict[str, Any]) -> float:
    return (datetime.fromisoformat(item["decided_at"]) - at(item)).total_seconds()


def assert_none_is_missing(items: list[dict[str, Any]], period_s: int = 1) -> None:
    """Every slot of a period from the first one to the last is there once."""
    found = [at(item) for item in items]
    wanted = [found[0] - timedelta(seconds=n * period_s) for n in range(len(found))]
    assert found == wanted


def test_every_slot_is_accounted_for_over_a_stop_and_a_kill(flows: Path, state: Path) -> None:
    """After SIGSTOP and `kill -9` each second has one outcome, and `why` tells the same."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: running.executions("beat"), lambda: running.events)
        os.kill(running.process.pid, signal.SIGSTOP)
        eventually(later(STOPPED_S), str, patience_s=STOPPED_S + 30)
        os.kill(running.process.pid, signal.SIGCONT)

        def superseded() -> list[dict[str, Any]]:
            return [item for item in slots(running) if item["reason"] == "superseded"]

        lost = eventually(superseded, lambda: running.events)[0]
        assert_none_is_missing(slots(running))
        assert lost["outcome"] in ("missed", "skipped")
        answer = running.command("why", "beat", "--at", lost["slot_at"]).stdout
        assert f"{lost['outcome']} (superseded)" in answer
        end = (at(lost) + timedelta(seconds=1)).isoformat()
        running.command("backfill", "beat", "--from", lost["slot_at"], "--to", end)

        def filled() -> list[dict[str, Any]]:
            found = running.executions("beat")
            return [each for each in found if each["trigger"]["type"] == "backfill"]

        (made,) = eventually(filled, lambda: running.events)
        assert made["slot_at"] == lost["slot_at"]
        running.kill()
    with daemon(flows, state, env=OPEN) as running:
        before = len(running.executions("beat"))
        eventually(lambda: len(running.executions("beat")) > before, lambda: running.events)
        found = slots(running)
        assert_none_is_missing(found)
        started = [item for item in found if item["outcome"] == "started"]
        assert {item["execution_id"] for item in started} <= {
            execution["id"] for execution in running.executions("beat")
        }
        (due,) = running.request("/api/v1/schedule").json["items"]
        assert (due["flow"], at(due) > at(found[0])) == ("beat", True)


@pytest.mark.skipif(LIBRARY is None, reason="needs faketime")
def test_every_slot_is_accounted_for_over_a_stop_of_two_minutes(flows: Path, state: Path) -> None:
    """What came due while SIGSTOP held the daemon has one outcome, as its `catchup` says."""
    every = "type: schedule, every: 10s"
    triggers = f"triggers: [{{id: newest, {every}}}, {{id: none, {every}, catchup: none}}]\n"
    write_flow(flows, "beat", triggers, "concurrency: {on_conflict: allow}\n", says("one"))
    time_of_daemon = fast_time(datetime.now(UTC), FAST)

    with daemon(flows, state, env={**OPEN, **time_of_daemon}) as running:
        eventually(lambda: len(running.executions("beat")) > 1, lambda: running.events)
        os.kill(running.process.pid, signal.SIGSTOP)
        eventually(later(STOP_S / FAST), str)
        os.kill(running.process.pid, signal.SIGCONT)

        def lost(trigger: str) -> list[dict[str, Any]]:
            found = [item for item in slots(running) if item["outcome"] == "missed"]
            return [item for item in found if item["trigger"] == trigger]

        eventually(lambda: lost("newest") and lost("none"), lambda: running.events)
        for trigger, reason, least in (("newest", "superseded", 11), ("none", "down", 5)):
            of_trigger = [item for item in slots(running) if item["trigger"] == trigger]
            assert_none_is_missing(of_trigger, 10)
            reasons = [item["reason"] for item in lost(trigger)]
            assert len(reasons) >= least
            assert set(reasons) == {reason}
            decided = [seconds_late(item) for item in lost(trigger)]
            assert max(decided) >= STOP_S - 10
        assert running.stop() == 0, running.events


def test_daemon_that_observes_starts_nothing(flows: Path, state: Path) -> None:
    """Slots are recorded as what would have started; a start by hand is refused."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    write_flow(flows, "first", "triggers: [{type: start, once_per: daemon}]\n", says("two"))

    with daemon(flows, state, env=OPEN, arguments=("--observe",)) as running:
        skipped = "triggers.skipped flow=default/first trigger=start type=start reason=observe"
        eventually(lambda: skipped in running.events, lambda: running.events)
        eventually(lambda: len(slots(running)) > 1, lambda: running.events)
        assert {(item["outcome"], item["reason"]) for item in slots(running)} == {
            ("skipped", "observe")
        }
        assert running.executions("beat") + running.executions("first") == []
        refused = running.command("run", "beat", check=False)
        assert (refused.returncode, "only observes" in refused.stderr) == (5, True)
        assert running.request("/api/v1/status").json["observes"] is True
        assert "observes: nothing starts" in running.command("status").stdout


def test_status_tells_that_all_schedules_are_paused(flows: Path, state: Path) -> None:
    """Who did it, why and until when, also after `kill -9`; nothing of it once they are resumed."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    end = "2100-01-01T00:00:00Z"
    with daemon(flows, state, env=OPEN) as first:
        first.command("pause", "--all-schedules", "--reason", "the move", "--until", end)
        first.kill()
    with daemon(flows, state, env=OPEN) as second:
        told = second.request("/api/v1/status").json
        assert told["observes"] is False
        paused = told["schedules_paused"]
        assert (paused["uid"], paused["reason"], paused["until"]) == (os.getuid(), "the move", end)
        since = datetime.fromisoformat(paused["at"])
        assert since <= datetime.fromisoformat(told["started_at"])
        by = f"all paused by user {os.getuid()} since {paused['at'][:19]}Z until {end}: the move"
        assert by in second.command("status").stdout
        second.command("resume", "--all-schedules")
        assert second.request("/api/v1/status").json["schedules_paused"] is None
        assert "paused" not in second.command("status").stdout
