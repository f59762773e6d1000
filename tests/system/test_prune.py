"""Deletions of many are held over kill -9 and restart until a person approves one revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import EVERY_SECOND, NOTHING, write_flow

pytestmark = pytest.mark.system

TEN = [f"f{n}" for n in range(10)]


def held(running: RunningDaemon) -> dict[str, Any]:
    """Returns the condition `PruneHeld`."""
    conditions = running.source()["conditions"]
    return next(each for each in conditions if each["type"] == "PruneHeld")


def names(running: RunningDaemon) -> list[str]:
    items = running.request("/api/v1/flows").json["items"]
    return [flow["name"] for flow in items]


def test_a_mass_deletion_waits_for_a_person_over_a_crash(flows: Path, state: Path) -> None:
    """Nothing leaves by itself, before and after a kill; the approval removes what was shown."""
    for name in TEN:
        write_flow(flows, name, EVERY_SECOND, NOTHING)

    with daemon(flows, state, env=OPEN) as running:
        for name in TEN[:6]:
            (flows / f"{name}.yaml").unlink()
        done = running.command("reconcile", "--wait", check=False)
        assert (done.returncode, "6 of the 10 flows" in done.stdout) == (1, True)
        assert running.command("reload", "--wait", check=False).returncode == 1
        assert (held(running)["reason"], names(running)) == ("MassDeletion", TEN)
        assert running.request("/readyz").status == 200
        running.kill()

    with daemon(flows, state, env=OPEN) as running:
        assert (held(running)["reason"], names(running)) == ("MassDeletion", TEN)
        assert "MassDeletion" in running.command("flows").stdout
        shown = running.source()["hold"]
        assert shown["count"] == 6
        other = running.command("reconcile", "--allow-prune", "0" * 40, check=False)
        assert (other.returncode, names(running)) == (5, TEN)
        (flows / "f6.yaml").unlink()
        late = running.command("reconcile", "--allow-prune", shown["revision"], check=False)
        assert (late.returncode, names(running)) == (5, TEN)
        done = running.command("reconcile", "--allow-prune")
        assert "7 of the 10 flows" in done.stderr
        assert names(running) == TEN[7:]
        assert held(running)["status"] == "False"
        again = running.command("reconcile", "--allow-prune", check=False)
        assert again.returncode == 5


def test_a_few_at_a_time_are_many_over_restarts(flows: Path, state: Path) -> None:
    """The set that counts is the approved one, whoever was there to see the first ones go."""
    for name in TEN:
        write_flow(flows, name, NOTHING)
    with daemon(flows, state, env=OPEN) as running:
        for name in TEN[:5]:
            (flows / f"{name}.yaml").unlink()
        running.reconcile()
        assert names(running) == TEN[5:]
        running.kill()
    (flows / "f5.yaml").unlink()
    with daemon(flows, state, env=OPEN) as running:
        assert (held(running)["reason"], names(running)) == ("MassDeletion", TEN[5:])


def test_a_flow_of_another_host_is_shown_and_starts_nothing(flows: Path, state: Path) -> None:
    """By the labels of the settings; the same folder on the right host runs it."""
    write_flow(flows, "beat", "runs_on: [db]\n", EVERY_SECOND, NOTHING)
    with daemon(flows, state, env=OPEN) as running:
        assert running.condition("beat")["status"] == "True"
        assert running.condition("beat", "Scheduled")["reason"] == "OtherHost"
        assert "1 that run on other hosts" in running.command("flows").stdout
        refused = running.command("run", "beat", check=False)
        assert (refused.returncode, "no label db" in refused.stderr) == (5, True)
    with daemon(flows, state, env={**OPEN, "FLOWRUNNER_SERVER__LABELS": "db,eu"}) as running:
        assert running.condition("beat", "Scheduled")["status"] == "True"
        eventually(lambda: running.executions("beat"), lambda: running.events)
