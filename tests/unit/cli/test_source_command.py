"""`flowrunner source`: what it asks for, what it shows, how it exits."""

from __future__ import annotations

from typing import Any

import pytest

from flowrunner.cli.main import main
from tests.unit.cli.control_server import ControlServer

Captured = pytest.CaptureFixture[str]
REVISION = "3f2a9c1" + "0" * 33
COMMIT = {
    "revision": REVISION,
    "author": "A\x1b[31m Person",
    "subject": "Say\u202e more",
    "committed_at": "2027-03-01T12:00:00+01:00",
    "verified": True,
}
SYNC = {
    "outcome": "unchanged",
    "at": "2027-03-01T12:00:00Z",
    "newest": REVISION,
    "reason": "Synced",
    "message": "",
}


def source(**git: Any) -> dict[str, Any]:
    known = {"url": "/srv/x.git", "ref": None, "path": None, "commit": COMMIT, "pin": None}
    shown = {**known, "last_sync": SYNC, "reached_at": None, **git}
    about = {"kind": "git", "revision": REVISION, "conditions": [], "redacted": False}
    return {**about, "commit": COMMIT, "git": shown}


def test_status_names_the_commit_and_is_safe(server: ControlServer, capsys: Captured) -> None:
    """Author and subject are shown, and cannot steer a terminal."""
    server.put("GET /api/v1/source", source())
    assert main(["source", "status"]) == 0
    shown = capsys.readouterr().out
    assert "Person" in shown
    assert "more" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "PINNED" not in shown


def test_pin_stands_first(server: ControlServer, capsys: Captured) -> None:
    """A rollback is the first thing that is said, with who asked for it, since when and why."""
    pin = {"revision": REVISION, "at": "2027-03-01T12:00:00Z", "uid": 0, "reason": "bad\x1b[2J"}
    server.put(
        "GET /api/v1/source", source(pin=pin), source(pin={**pin, "uid": None, "reason": ""})
    )
    assert main(["source", "status"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        f"PINNED to {REVISION} by user 0 since 2027-03-01T12:00:00Z: bad\\x1b[2J",
        "pushes do nothing until `flowrunner source unpin`",
    ]
    assert main(["source", "status"]) == 0
    assert capsys.readouterr().out.startswith(f"PINNED to {REVISION} since 2027-03-01T12:00:00Z\n")


def test_unknown_revision_says_where_revisions_stand(
    server: ControlServer, capsys: Captured
) -> None:
    """The hint of a missing flow or execution would lead astray."""
    detail = "no commit here: `flowrunner source history` lists some"
    problem = {"status": 404, "code": "source.revision", "detail": detail}
    server.put("POST /control/v1/source/rollback", problem, status=404)
    assert main(["source", "rollback", "3f2a"]) == 5
    assert capsys.readouterr().err == f"flowrunner: {detail} [source.revision]\n"


def test_status_of_a_folder(server: ControlServer, capsys: Captured) -> None:
    """Without a repository kind and revision are shown, and the commit if it is a checkout."""
    folder: dict[str, Any] = {
        "kind": "folder",
        "revision": "",
        "conditions": [],
        "commit": None,
        "git": None,
        "redacted": False,
    }
    server.put("GET /api/v1/source", folder, {**folder, "commit": COMMIT})
    assert main(["source", "status"]) == 0
    shown = capsys.readouterr().out
    assert ("folder" in shown, "author" in shown) == (True, False)
    assert main(["source", "status"]) == 0
    assert "A\\x1b[31m Person" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("published", 0), ("unchanged", 0), ("pinned", 0), ("refused", 1), ("failed", 1)],
)
def test_sync_exits_by_its_outcome(
    server: ControlServer, capsys: Captured, outcome: str, code: int
) -> None:
    """A sync that was refused or failed exits with 1, and says why."""
    result = {**SYNC, "outcome": outcome, "message": "the reason"}
    server.put("POST /control/v1/source/sync", result)
    assert main(["source", "sync"]) == code
    assert "the reason" in capsys.readouterr().out


def test_history_is_a_table(server: ControlServer, capsys: Captured) -> None:
    """Each revision that was in force has a line."""
    items = [{"published_at": "2027-03-01T12:00:00Z", **COMMIT}]
    server.put("GET /control/v1/source/history", {"items": items, "next_cursor": None})
    assert main(["source", "history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "3f2a9c1" in lines[1]
    assert "\x1b" not in lines[1]


def test_rollback_sends_revision_and_reason(server: ControlServer, capsys: Captured) -> None:
    """What was typed is sent, and the end of the pin is hinted at."""
    server.put("POST /control/v1/source/rollback", {"revision": REVISION})
    assert main(["source", "rollback", "3f2a", "--reason", "it broke"]) == 0
    assert server.bodies == [{"revision": "3f2a", "reason": "it broke"}]
    captured = capsys.readouterr()
    assert REVISION in captured.out
    assert "unpin" in captured.err


@pytest.mark.parametrize(("was_pinned", "text"), [(True, "followed again"), (False, "nothing")])
def test_unpin_says_whether_there_was_a_pin(
    server: ControlServer, capsys: Captured, was_pinned: bool, text: str  # noqa: FBT001
) -> None:  # fmt: skip
    """Unpinning twice does no harm, and says so."""
    server.put("POST /control/v1/source/unpin", {"was_pinned": was_pinned})
    assert main(["source", "unpin"]) == 0
    assert text in capsys.readouterr().out


def test_action_is_needed(server: ControlServer) -> None:
    """Without an action nothing is asked."""
    assert main(["source"]) == 2
    assert server.asked == []
