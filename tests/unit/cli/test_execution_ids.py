"""An execution may be named by the beginning of its id, as long as that says which one it is."""

from __future__ import annotations

from typing import Any

import pytest

from flowrunner.cli.client import ControlClient
from flowrunner.cli.execution_ids import find_execution
from flowrunner.cli.main import main
from tests.unit.cli import documents
from tests.unit.cli.control_server import ControlServer

Captured = pytest.CaptureFixture[str]
EXECUTIONS = "GET /api/v1/executions"
FIRST = "0199abcd-0000-7000-8000-00000000000f"
SECOND = "0199abcd-0000-7000-8000-0000000000ff"
OTHER = "0199abcc-ffff-7fff-bfff-ffffffffffff"


def found(*ids: str) -> dict[str, Any]:
    """A page of the list of executions."""
    return documents.page(*({**documents.execution(), "id": each} for each in ids))


def find(server: ControlServer, word: str) -> str:
    return find_execution(ControlClient(str(server.path)), word)


@pytest.mark.parametrize(
    ("word", "bound"),
    [
        pytest.param(FIRST[:8], "0199abce-0000-0000-0000-000000000000", id="shortest"),
        pytest.param(FIRST[:9], "0199abce-0000-0000-0000-000000000000", id="with-its-dash"),
        pytest.param(FIRST[:11], "0199abcd-0100-0000-0000-000000000000", id="within-a-group"),
        pytest.param(FIRST[:-1], "0199abcd-0000-7000-8000-000000000010", id="all-but-one"),
    ],
)
def test_beginning_of_one_id_is_that_execution(
    server: ControlServer, word: str, bound: str
) -> None:
    """The list, from the first id beyond, tells which execution is meant."""
    server.put(EXECUTIONS, found(FIRST, OTHER))
    assert find(server, word) == FIRST
    assert server.asked == [f"{EXECUTIONS}?limit=11&cursor={bound}"]


def test_highest_beginning_has_no_bound(server: ControlServer) -> None:
    """No id lies beyond those that begin with f alone, so the list is asked for from its top."""
    server.put(EXECUTIONS, found("ffffffff-0000-7000-8000-000000000001"))
    assert find(server, "ffffffff") == "ffffffff-0000-7000-8000-000000000001"
    assert server.asked == [f"{EXECUTIONS}?limit=11"]


@pytest.mark.parametrize("word", [FIRST, "nonsense", "0199abcdx", "0199-abcd", "../../x", ""])
def test_what_is_no_beginning_is_left_to_the_daemon(server: ControlServer, word: str) -> None:
    """A whole id costs no further request, and what cannot be one is refused by the daemon."""
    assert find(server, word) == word
    assert server.asked == []


@pytest.mark.parametrize(
    ("command", "request_of"),
    [
        ("show", "GET /api/v1/executions/{}"),
        ("logs", "GET /api/v1/executions/{}/logs"),
        ("cancel", "POST /control/v1/executions/{}/cancel"),
        ("retry", "POST /control/v1/executions/{}/retry"),
    ],
)
def test_command_takes_a_beginning(
    server: ControlServer, capsys: Captured, command: str, request_of: str
) -> None:
    """Each command that names an execution goes on with the whole id."""
    server.put(EXECUTIONS, found(FIRST))
    answers = {
        "show": {**documents.execution(), "id": FIRST},
        "logs": documents.log_page(is_complete=True),
        "cancel": {"execution_id": FIRST},
        "retry": {"execution_id": FIRST},
    }
    server.put(request_of.format(FIRST), answers[command])
    assert main([command, FIRST[:8]]) == 0
    assert server.asked[-1] == request_of.format(FIRST)
    assert capsys.readouterr().err == ""


def test_beginning_of_several_ids_is_refused_with_them(
    server: ControlServer, capsys: Captured
) -> None:
    """It is not guessed which one is meant: the candidates are listed, newest first."""
    server.put(EXECUTIONS, found(SECOND, FIRST, OTHER))
    assert main(["cancel", FIRST[:8]]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "flowrunner: '0199abcd' begins the ids of several executions",
        "hint: one of",
        f"  {SECOND} backup failed 2027-03-01T12:01:00Z",
        f"  {FIRST} backup failed 2027-03-01T12:01:00Z",
    ]
    assert [asked for asked in server.asked if asked.startswith("POST")] == []


def test_page_that_ends_early_hides_no_candidate(server: ControlServer, capsys: Captured) -> None:
    """A page is cut where inputs are large, so the list is read on until it is sure."""
    server.put(EXECUTIONS, {**found(SECOND), "next_cursor": SECOND}, found(FIRST, OTHER))
    assert main(["cancel", FIRST[:8]]) == 2
    assert capsys.readouterr().err.count("0199abcd-") == 2


def test_list_of_candidates_is_bounded(server: ControlServer, capsys: Captured) -> None:
    """Of very many candidates ten are shown."""
    server.put(EXECUTIONS, found(*(f"{FIRST[:-2]}{n:02x}" for n in range(11))))
    assert main(["show", FIRST[:8]]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (2 + 10 + 1, "  …")


def test_beginning_of_no_id_is_not_found(server: ControlServer, capsys: Captured) -> None:
    """An execution that does not exist is refused as if its whole id had been given."""
    server.put(EXECUTIONS, found(OTHER))
    assert main(["show", FIRST[:8]]) == 5
    assert "no execution whose id begins with '0199abcd' [not_found]" in capsys.readouterr().err


def test_short_beginning_is_refused(server: ControlServer, capsys: Captured) -> None:
    """Fewer than eight characters say too little to name one execution."""
    assert main(["show", "0199abc"]) == 2
    assert "at least 8 characters" in capsys.readouterr().err
    assert server.asked == []
