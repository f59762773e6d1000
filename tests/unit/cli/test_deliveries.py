"""`flowrunner deliveries`: what it asks for, what it shows, how it exits."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from flowrunner.cli.main import main
from flowrunner.model.delivery_record import NO_HOOK, DeliveryReason, DeliveryRecord
from flowrunner.model.ids import FlowKey
from flowrunner.web.delivery_wire import delivery_json
from tests.fakes.records import make_delivery
from tests.unit.cli import documents
from tests.unit.cli.control_server import ControlServer

Captured = pytest.CaptureFixture[str]
DELIVERIES = "GET /api/v1/deliveries"
FORGED = replace(make_delivery(1, DeliveryReason.SIGNATURE, status=401, is_proven=False), detail="")


def page(*records: DeliveryRecord) -> dict[str, Any]:
    """A page of deliveries."""
    items = [delivery_json(record, redacted=False) for record in records]
    return {"items": items, "next_cursor": None}


def test_deliveries_are_listed_with_why(server: ControlServer, capsys: Captured) -> None:
    """The last column says in a sentence what the others say in words."""
    of_account = replace(FORGED, flow=FlowKey("ops", "site"), source="")
    stray = make_delivery(2, DeliveryReason.NO_HOOK, flow=NO_HOOK, path="default/\x1b[31m")
    server.put(DELIVERIES, page(FORGED, of_account, stray))
    assert main(["deliveries"]) == 0
    head, first, second, third = capsys.readouterr().out.splitlines()
    assert head.split() == ["TIME", "HOOK", "FROM", "ANSWER", "REASON", "WHY"]
    words = "2027-03-01T12:01:00Z backup/push 192.0.2.7 401 signature bad signature: it carried"
    assert " ".join(first.split()).startswith(words)
    assert "ops/site/push" in second
    assert "/hooks/default/" in third
    assert "\x1b" not in third


def test_long_path_of_a_stranger_widens_no_line(server: ControlServer, capsys: Captured) -> None:
    """One request with a long address to no hook leaves the list as readable as before."""
    stray = make_delivery(2, DeliveryReason.NO_HOOK, flow=NO_HOOK, path="x" * 200)
    server.put(DELIVERIES, page(FORGED, stray))
    assert main(["deliveries"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.index("192.0.2.7") < 100
    assert "/hooks/xxxx" in second
    assert "x… " in second


def test_wide_list_has_names_and_numbers(server: ControlServer, capsys: Captured) -> None:
    """What the provider calls it, how many there were, and the id of the log."""
    server.put(DELIVERIES, page(replace(FORGED, repeats=7)))
    assert main(["deliveries", "-o", "wide"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    for word in ("default/backup/push", " 7 ", "of-the-provider-1", "request-1"):
        assert word in line


def test_filters_are_asked_for(server: ControlServer) -> None:
    """Each option is a parameter."""
    server.put(DELIVERIES, page(FORGED))
    options = ["--trigger", "push", "--reason", "if", "--reason", "time", "--account", "ops"]
    times = ["--since", "2027-03-01T12:00:00Z", "--until", "2027-03-02T12:00:00Z"]
    assert main(["deliveries", "backup", "--refused", "--limit", "5", *options, *times]) == 0
    (asked,) = server.asked
    assert asked == (
        f"{DELIVERIES}?flow=backup&account=ops&trigger=push&outcome=refused&reason=if%2Ctime"
        "&since=2027-03-01T12%3A00%3A00Z&until=2027-03-02T12%3A00%3A00Z&limit=5"
    )


def test_list_for_programs_is_whole(server: ControlServer, capsys: Captured) -> None:
    """With `--json` all of it is there."""
    server.put(DELIVERIES, page(FORGED))
    assert main(["deliveries", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == page(FORGED)


def test_flow_without_deliveries_has_none(server: ControlServer, capsys: Captured) -> None:
    """A name that no flow has is told apart from it."""
    server.put(DELIVERIES, page())
    server.put("GET /api/v1/flows", documents.page(documents.flow()))
    server.put("GET /api/v1/executions", documents.page())
    assert main(["deliveries", "backup"]) == 0
    assert capsys.readouterr().out == "no deliveries\n"
    assert main(["deliveries", "bakcup"]) == 5
    assert "did you mean 'backup'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--since", "yesterday"], ["--until", "12:00"], ["--refused", "--outcome", "ignored"]],
)
def test_wrong_option_is_a_usage_error(options: list[str], server: ControlServer) -> None:
    """Nothing is asked, and the exit code is 2."""
    assert main(["deliveries", *options]) == 2
    assert server.asked == []
