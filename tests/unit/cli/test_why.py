"""`flowrunner why`: what it asks for, what it shows, how it exits."""

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
