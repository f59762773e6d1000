"""`flowrunner why` and `backfill`: what they ask for, what they show, how they exit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowrunner.cli.main import main
from tests.unit.cli.control_server import ControlServer

Captured = pytest.CaptureFixture[str]
ANSWER: dict[str, Any] = {
    "sentence": "It \x1b[31mstarted.",
    "slots": [],
    "last_slot": None,
    "next_slot": None,
}
PLACE = "GET /control/v1/flows/team/beat/why"


def test_sentence_is_printed_and_steers_no_terminal(
    server: ControlServer, capsys: Captured
) -> None:
    """One sentence, and 0."""
    server.put(PLACE, ANSWER)
    command = ["why", "beat", "--account", "team", "--at", "2027-03-01T12:00:00Z"]
    assert main(command) == 0
    assert server.asked == [f"{PLACE}?at=2027-03-01T12%3A00%3A00Z"]
    shown = capsys.readouterr().out
    assert "started." in shown
    assert "\x1b" not in shown


def test_answer_for_programs_is_whole(server: ControlServer, capsys: Captured) -> None:
    """With `--json` all of it is there."""
    server.put(PLACE, ANSWER)
    assert main(["why", "beat", "--account", "team", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ANSWER


@pytest.mark.parametrize("at", ["yesterday", "02:30", "2027-03-01", "2027-03-01T12:00:00"])
def test_time_without_a_zone_is_a_usage_error(at: str, capsys: Captured) -> None:
    """What could mean several moments is refused, with how to write it."""
    assert main(["why", "beat", "--at", at]) == 2
    assert "2027-03-01T12:00:00Z" in capsys.readouterr().err


BACKFILL = "POST /control/v1/flows/default/beat/backfill"
SPAN = ["--from", "2027-03-01T12:00:00Z", "--to", "2027-03-02T12:00:00Z"]


def test_backfill_is_asked_for(server: ControlServer, capsys: Captured) -> None:
    """Interval and choices are sent, id and number of slots are printed."""
    server.put(BACKFILL, {"backfill_id": "b1", "slots": 24}, status=202)
    assert main(["backfill", "beat", *SPAN, "--parallel", "3"]) == 0
    assert server.bodies == [
        {
            "from": "2027-03-01T12:00:00Z",
            "to": "2027-03-02T12:00:00Z",
            "trigger": None,
            "parallel": 3,
            "force": False,
        }
    ]
    assert capsys.readouterr().out == "backfill b1 of 24 slots\n"


def test_backfill_is_ended(server: ControlServer, capsys: Captured) -> None:
    """`--cancel` says how many there were."""
    server.put(f"{BACKFILL}/cancel", {"ended": 1})
    assert main(["backfill", "beat", "--cancel"]) == 0
    assert "1 backfills of beat ended" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [[], SPAN[:2], ["--from", "x", *SPAN[2:]], [*SPAN, "--cancel"], [*SPAN, "--parallel", "x"]],
    ids=["nothing", "no-end", "no-time", "cancel-too", "no-number"],
)
def test_backfill_that_makes_no_sense_is_a_usage_error(words: list[str]) -> None:
    """It is told before the daemon is asked."""
    assert main(["backfill", "beat", *words]) == 2


def test_all_schedules_are_paused_and_resumed(server: ControlServer, capsys: Captured) -> None:
    """`--all-schedules` needs no flow, and takes none."""
    server.put("POST /control/v1/schedules/pause", {"paused": True})
    server.put("POST /control/v1/schedules/resume", {"paused": False})
    end = "2027-03-01T12:00:00Z"
    assert main(["pause", "--all-schedules", "--reason", "repairs", "--until", end]) == 0
    assert main(["resume", "--all-schedules"]) == 0
    assert server.bodies == [{"reason": "repairs", "until": end}, None]
    assert f"all schedules are paused until {end}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize(
    "words", [[], ["beat", "--all-schedules"], ["--all-schedules", "--account", "team"]], ids=str
)
def test_either_a_flow_or_all_schedules(command: str, words: list[str]) -> None:
    """One of them must be said, and not both."""
    assert main([command, *words]) == 2
