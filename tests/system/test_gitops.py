"""The main job: a flow fires, its file is edited, broken and repaired, and nothing restarts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import EVERY_SECOND, NOTHING, flow_text, replace_file, says, write_flow

pytestmark = pytest.mark.system


def said(running: RunningDaemon, flow: str) -> str | None:
    """Returns the word of the newest ended execution."""
    for execution in running.executions(flow):
        if execution["state"] == "succeeded":
            nodes = running.execution(execution["id"])["nodes"]
            return str(nodes[0]["outputs"]["word"])
    return None


def fires_on(running: RunningDaemon, flow: str) -> list[dict[str, Any]]:
    """Waits for two more successful executions of a flow and returns all it has."""
    before = len(running.executions(flow))

    def more() -> list[dict[str, Any]]:
        found = running.executions(flow)
        ended = [execution for execution in found if execution["state"] == "succeeded"]
        return ended if len(ended) >= before + 2 else []

    return eventually(more, lambda: running.events)


def break_file(path: Path) -> str:
    """Breaks a flow file: an unknown key in line 4; returns where a person is to look."""
    replace_file(path, flow_text(path.stem, EVERY_SECOND, "noeds: []\n", NOTHING))
    return f"{path.name}:4:1"


def test_a_flow_with_a_schedule_fires_by_itself(flows: Path, state: Path) -> None:
    """A file in the folder is all it takes to run something every second."""
    with daemon(flows, state, env=OPEN) as running:
        write_flow(flows, "beat", EVERY_SECOND, says("one"))

        eventually(lambda: said(running, "beat") == "one", lambda: running.events)

        executions = fires_on(running, "beat")
        assert {execution["trigger"]["type"] for execution in executions} == {"schedule"}
        slots = [execution["slot_at"] for execution in executions]
        assert len(slots) == len(set(slots))
        assert running.flow("beat")["triggers"][0]["next_slot_at"] is not None


def test_an_edit_takes_effect_without_a_restart(flows: Path, state: Path) -> None:
    """The next execution after an edit runs the new version, under a new generation."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: said(running, "beat") == "one", lambda: running.events)
        before = running.flow("beat")
        write_flow(flows, "beat", EVERY_SECOND, says("two"))

        eventually(lambda: said(running, "beat") == "two", lambda: running.events)

        after = running.flow("beat")
        assert after["generation"] == after["observed_generation"] == before["generation"] + 1
        assert after["digest"] != before["digest"]
        assert running.process.poll() is None


def test_a_broken_edit_is_shown_everywhere_while_the_old_version_keeps_firing(
    flows: Path, state: Path
) -> None:
    """Ready=False with file:line:column in command, API and metric; last good goes on; it heals."""
    path = write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: said(running, "beat") == "one", lambda: running.events)
        place = break_file(path)

        eventually(lambda: running.condition("beat")["status"] == "False")
        assert_shown(running, place)
        fires_on(running, "beat")
        assert said(running, "beat") == "one"

        write_flow(flows, "beat", EVERY_SECOND, says("two"))
        eventually(lambda: running.condition("beat")["status"] == "True")
        assert running.metric("flowrunner_flow_ready", flow="beat") == 1
        assert running.flow("beat")["findings"] == []
        eventually(lambda: said(running, "beat") == "two")


def test_a_broken_file_stays_on_its_last_good_version_across_kill_9(
    flows: Path, state: Path
) -> None:
    """After a crash the broken file is shown since when it was broken, and the last good fires."""
    path = write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state, env=OPEN) as running:
        eventually(lambda: said(running, "beat") == "one", lambda: running.events)
        place = break_file(path)
        eventually(lambda: running.condition("beat")["status"] == "False")
        digest = running.flow("beat")["digest"]
        told = eventually(lambda: history(running, "beat"))
        assert [(it["type"], it["reason"]) for it in reversed(told)] == [
            ("Definition", "Created"),
            ("Definition", "Rejected"),
            ("Ready", "InvalidNewVersion"),
            ("Valid", "Invalid"),
        ]
        since = running.condition("beat")["last_transition_at"]
        running.kill()

    with daemon(flows, state, env=OPEN) as running:
        assert_shown(running, place)
        assert running.condition("beat")["last_transition_at"] == since
        assert history(running, "beat") == told
        assert "InvalidNewVersion" in running.command("flows", "beat", "--events").stdout
        executions = fires_on(running, "beat")
        assert {execution["digest"] for execution in executions} == {digest}
        slots = [execution["slot_at"] for execution in executions]
        assert len(slots) == len(set(slots))


def history(running: RunningDaemon, flow: str) -> list[dict[str, Any]] | None:
    """Returns the events of a flow once it was rejected, newest first: None before."""
    found = running.request(f"/api/v1/flows/default/{flow}/events").json["items"]
    return found if any(event["reason"] == "Rejected" for event in found) else None


def test_every_slot_of_a_downtime_is_accounted_for(flows: Path, state: Path) -> None:
    """What was due while the daemon was down is started late or counted as superseded."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state) as running:
        fires_on(running, "beat")
        missed_before = missed_slots(running)
        running.kill()
    eventually(lambda: seconds_since_last_write(state) > 2.5)

    with daemon(flows, state) as running:
        fires_on(running, "beat")
        executions = running.executions("beat")
        slots = sorted(datetime.fromisoformat(execution["slot_at"]) for execution in executions)
        due = round((slots[-1] - slots[0]).total_seconds()) + 1
        assert missed_before + missed_slots(running) == due - len(slots)
        assert missed_slots(running) > 0


def test_a_flow_that_was_away_owes_no_slot_of_that_time(flows: Path, state: Path) -> None:
    """Deleted before a crash and restored while the daemon is down, its schedule starts at now."""
    write_flow(flows, "other", NOTHING)
    path = write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state) as running:
        fires_on(running, "beat")
        path.unlink()
        running.reconcile()
        away = datetime.now(UTC)
        running.kill()
    eventually(lambda: seconds_since_last_write(state) > 2.5)

    back = datetime.now(UTC)
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    with daemon(flows, state) as running:
        fires_on(running, "beat")
    assert [at for at in first_missed(state) if away <= at <= back] == []


def first_missed(state: Path) -> list[datetime]:
    """Returns the first slot of each row of the ledger."""
    with closing(sqlite3.connect(state / "flowrunner.db")) as database:
        rows = database.execute("SELECT first FROM slot_runs WHERE outcome = 'missed'")
        return [datetime.fromtimestamp(first / 1e6, UTC) for (first,) in rows]


def missed_slots(running: RunningDaemon) -> float:
    """Returns how many slots of `beat` nobody could look at, since the daemon started."""
    missed = {"flow": "beat", "outcome": "missed", "reason": "superseded"}
    return running.metric("flowrunner_slots_total", **missed) or 0


def seconds_since_last_write(state: Path) -> float:
    """Returns how long ago the database was written, by the clock of the file system."""
    now = state / "now"
    now.touch()
    written = max(path.stat().st_mtime for path in state.glob("flowrunner.db*"))
    return now.stat().st_mtime - written


def test_one_bad_file_harms_no_other_flow(flows: Path, state: Path) -> None:
    """Beside a file that was never valid, new and changed flows come into force and fire."""
    (flows / "bad.yaml").write_text("version: 1\nname: [\n", encoding="utf-8")

    with daemon(flows, state, env=OPEN) as running:
        write_flow(flows, "beat", EVERY_SECOND, says("one"))
        eventually(lambda: said(running, "beat") == "one", lambda: running.events)
        assert running.request("/readyz").status == 200
        assert running.metric("flowrunner_config_last_reload_successful") == 0
        (rejected,) = running.source()["rejected"]
        assert rejected["path"] == "bad.yaml"
        assert rejected["findings"][0]["code"] == "FR101"
        assert "bad.yaml" in running.command("flows").stdout


def test_a_flow_whose_file_is_gone_stops_at_once(flows: Path, state: Path) -> None:
    """Deleting the file ends the schedule; the flow and its series leave."""
    write_flow(flows, "stays", says("here"))
    path = write_flow(flows, "beat", EVERY_SECOND, says("one"))

    with daemon(flows, state) as running:
        fires_on(running, "beat")
        path.unlink()
        eventually(lambda: running.request("/api/v1/flows/default/beat").status == 404)
        assert running.metric("flowrunner_flow_ready", flow="beat") is None
        assert running.metric("flowrunner_executions_total", flow="beat") is None
        assert running.metric("flowrunner_flow_ready", flow="stays") == 1
        assert running.executions("beat"), "the history stays"


def test_an_unrelated_edit_leaves_a_flow_untouched(flows: Path, state: Path) -> None:
    """A new version of one flow changes neither generation nor conditions of another."""
    write_flow(flows, "quiet", "triggers: [{type: schedule, every: 1h}]\n", says("one"))
    write_flow(flows, "busy", says("one"))

    with daemon(flows, state) as running:
        before = running.flow("quiet")
        write_flow(flows, "busy", says("two"))
        eventually(lambda: running.flow("busy")["generation"] == 2)
        assert running.flow("quiet") == before


def assert_shown(running: RunningDaemon, place: str) -> None:
    """Asserts that command, API and metric all say that `beat` is not ready, and where."""
    ready = running.condition("beat")
    assert ready["status"] == "False"
    assert ready["reason"] == "InvalidNewVersion"
    assert place in ready["message"]
    (finding,) = [f for f in running.flow("beat")["findings"] if f["code"] == "FR201"]
    assert f"beat.yaml:{finding['line']}:{finding['column']}" == place
    listed = running.command("flows").stdout
    assert "False" in listed
    assert place in listed
    assert running.metric("flowrunner_flow_ready", account="default", flow="beat") == 0
