"""`executions --flow`: a name that nothing has is told apart from a flow that never ran."""

from __future__ import annotations

import pytest

from flowrunner.cli.main import main
from tests.unit.cli import documents
from tests.unit.cli.control_server import ControlServer

Captured = pytest.CaptureFixture[str]
EXECUTIONS = "GET /api/v1/executions"
FLOWS = "GET /api/v1/flows"


def test_unknown_flow_is_refused(server: ControlServer, capsys: Captured) -> None:
    """A misspelt name exits with 5, as for the other commands, and gets the right one."""
    server.put(EXECUTIONS, documents.page())
    server.put(FLOWS, documents.page(documents.flow()))
    assert main(["executions", "--flow", "bakcup"]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        "flowrunner: there is no flow bakcup, and no execution of one; did you mean 'backup'? "
        "[not_found]"
    )


def test_unknown_flow_of_an_account_is_looked_for_there(
    server: ControlServer, capsys: Captured
) -> None:
    """With an account only its flows count."""
    server.put(EXECUTIONS, documents.page())
    server.put(FLOWS, documents.page())
    assert main(["executions", "--flow", "backup", "--account", "ops"]) == 5
    assert "there is no flow ops/backup" in capsys.readouterr().err
    assert f"{FLOWS}?account=ops&limit=1000" in server.asked


def test_flow_without_executions_has_none(server: ControlServer, capsys: Captured) -> None:
    """A flow that never ran is no mistake."""
    server.put(EXECUTIONS, documents.page())
    server.put(FLOWS, documents.page(documents.flow()))
    assert main(["executions", "--flow", "backup"]) == 0
    assert capsys.readouterr().out == "no executions\n"


def test_flow_that_is_gone_has_had_executions(server: ControlServer, capsys: Captured) -> None:
    """The name of a removed flow is known by its executions, also where a state matches none."""
    server.put(EXECUTIONS, documents.page(), documents.page(documents.execution()))
    server.put(FLOWS, documents.page())
    assert main(["executions", "--flow", "backup", "--state", "running"]) == 0
    assert capsys.readouterr().out == "no executions\n"
    assert server.asked[-1] == f"{EXECUTIONS}?flow=backup&limit=1"
