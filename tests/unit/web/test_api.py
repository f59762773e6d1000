"""Flows, executions, logs and reconcile as the API shows them."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest

from flowrunner.config.access_settings import LocalAccess
from flowrunner.model.execution import Failure
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import ExecutionState
from flowrunner.service.views import ExecutionView, LogCursor, LogPage
from flowrunner.web.log_cursor import pack_cursor
from flowrunner.web.wire import WITHHELD, execution_json
from tests.fakes.asgi import ask
from tests.fakes.ids import sequential_id
from tests.fakes.records import BACKUP, DEFINITION, REVISION
from tests.fakes.service import (
    SECRET_INPUT,
    FakeService,
    make_execution_view,
    make_flow_view,
    make_log_page,
)
from tests.unit.web.apps import COMMANDER, EXECUTION, FLOW, control_app, public_app

LOGS = f"/api/v1/executions/{EXECUTION}/logs"


def service_with_flows(*names: str) -> FakeService:
    service = FakeService()
    service.known = [make_flow_view(FlowKey(*name.split("/"))) for name in sorted(names)]
    return service


def test_flow_pages_follow_each_other() -> None:
    """Following the cursor, each flow is seen once and in key order; the last page has none."""
    app = public_app(service_with_flows("a/x", "a/y", "b/x", "b/y", "c/x"))
    seen, more = [], ""
    for _ in range(3):
        page = ask(app, "GET", f"/api/v1/flows?limit=2{more}").json
        seen.append([f"{flow['account']}/{flow['name']}" for flow in page["items"]])
        more = f"&cursor={page['next_cursor']}"

    assert seen == [["a/x", "a/y"], ["b/x", "b/y"], ["c/x"]]
    assert more == "&cursor=None"


def test_page_that_ends_with_the_last_flow_has_no_cursor() -> None:
    """A full last page does not promise another one."""
    got = ask(public_app(service_with_flows("a/x", "a/y")), "GET", "/api/v1/flows?limit=2")

    assert got.json["next_cursor"] is None


def test_flow_cursor_outlives_its_flow() -> None:
    """A flow that went away between two pages does not lose the others."""
    got = ask(public_app(service_with_flows("a/x", "a/z")), "GET", "/api/v1/flows?cursor=a/y")

    assert [flow["name"] for flow in got.json["items"]] == ["z"]


def test_flows_of_one_account() -> None:
    """`account` leaves the flows of that account."""
    app = public_app(service_with_flows("a/x", "b/x"))

    got = ask(app, "GET", "/api/v1/flows?account=b")

    assert [flow["account"] for flow in got.json["items"]] == ["b"]


def test_one_flow() -> None:
    """A flow is found by account and name."""
    got = ask(public_app(), "GET", f"/api/v1/flows/{FLOW}")

    assert (got.json["account"], got.json["name"]) == ("default", "backup")


def test_definition_is_the_one_in_force() -> None:
    """`/definition` is the effective definition itself."""
    got = ask(public_app(local="open"), "GET", f"/api/v1/flows/{FLOW}/definition")

    assert got.json == DEFINITION


def test_events_of_a_flow_are_a_list() -> None:
    """`/events` has the shape of a list; its cursor is a number, passed on with the limit."""
    service = FakeService()
    path = f"/api/v1/flows/{FLOW}/events"

    got = ask(public_app(service), "GET", f"{path}?limit=1&cursor=9")

    assert service.calls == [("flow_events", {"key": BACKUP, "before": 9, "limit": 1})]
    assert got.json["next_cursor"] == "7"
    assert got.json["items"] == [
        {
            "number": 7,
            "at": "2027-03-01T12:00:00Z",
            "type": "Ready",
            "status": "False",
            "reason": "SecretMissing",
            "message": "this host has no secret TOKEN",
            "revision": REVISION,
            "generation": 2,
        }
    ]


@pytest.mark.parametrize("cursor", ["", "-1", "x", "1.5", "9" * 16, "default/backup", "\u0661"])
def test_cursor_of_events_is_a_number(cursor: str) -> None:
    """Whatever is no number of a page before is refused by name."""
    path = f"/api/v1/flows/{FLOW}/events?cursor={quote(cursor)}"

    got = ask(public_app(), "GET", path)

    assert (got.status, got.json["findings"][0]["parameter"]) == (400, "cursor")


def test_events_of_an_unknown_flow_are_not_found() -> None:
    """A flow that never was has no history."""
    assert ask(public_app(), "GET", "/api/v1/flows/default/nope/events").status == 404


def test_execution_filters_reach_the_service() -> None:
    """Account, flow, states, cursor and limit of the query are what the store is asked."""
    service = FakeService()

    ask(
        public_app(service),
        "GET",
        f"/api/v1/executions?account=a&flow=x&state=failed,timed_out&limit=7&cursor={EXECUTION}",
    )

    assert service.calls == [
        (
            "executions",
            {
                "account": "a",
                "flow": "x",
                "states": (ExecutionState.FAILED, ExecutionState.TIMED_OUT),
                "before": sequential_id(1),
                "limit": 7,
                "with_inputs": False,
            },
        )
    ]


def test_trace_has_its_shape_over_the_control_socket() -> None:
    """A trace is a list of nodes, and has all its keys; the unix socket has the right to it."""
    got = ask(control_app(), "GET", f"/api/v1/executions/{EXECUTION}/trace", peer=COMMANDER)

    assert got.status == 200
    assert set(got.json) == {"execution", "waits_for", "problem", "items", "next_cursor"}
    assert set(got.json["items"][0]) == {
        *("id", "type", "finally", "state", "reason", "needs", "ended_as", "now", "why"),
        *("waits_for", "if", "params", "env", "stdin", "choice", "attempts", "outputs", "error"),
        *("doubts", "started_at", "ended_at", "item_count", "items"),
    }
    assert set(got.json["items"][0]["if"]) == {
        *("text", "state", "value", "cut", "error", "parts"),
    }
    assert set(got.json["items"][0]["attempts"][0]) == {
        *("number", "item_index", "state", "reason", "exit_code", "started_at", "ended_at"),
        *("error", "verdict", "retry_if", "delay_s", "delay_is_longest"),
    }


def test_page_of_a_trace_reaches_the_service() -> None:
    """Limit and cursor are what the service is asked; a cursor that is no node is refused."""
    service = FakeService()
    app = public_app(service, local="open")
    path = f"/api/v1/executions/{EXECUTION}/trace"

    assert ask(app, "GET", f"{path}?limit=7&cursor=dump").status == 200
    assert service.calls == [
        ("trace", {"execution_id": EXECUTION, "after": "dump", "limit": 7}),
    ]
    assert ask(app, "GET", f"{path}?cursor=../x").json["code"] == "request.parameter"
    assert ask(app, "GET", f"{path}?limit=1001").json["code"] == "request.parameter"
    assert ask(app, "GET", f"{path}?node=dump").status == 400


def test_execution_page_has_a_cursor_when_there_are_more() -> None:
    """The cursor of a page is the id of its last execution."""
    service = FakeService()
    service.seen = [make_execution_view(number) for number in (3, 2, 1)]

    got = ask(public_app(service), "GET", "/api/v1/executions?limit=2")

    assert [item["id"] for item in got.json["items"]] == [sequential_id(3), sequential_id(2)]
    assert got.json["next_cursor"] == sequential_id(2)


def test_limit_is_100_unless_asked() -> None:
    """Without `limit` a page has at most 100 items."""
    service = FakeService()
    service.known = [make_flow_view(FlowKey("a", f"f{number:03}")) for number in range(101)]

    ask(public_app(service), "GET", "/api/v1/executions")

    assert service.calls[0][1]["limit"] == 100
    assert len(ask(public_app(service), "GET", "/api/v1/flows").json["items"]) == 100


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("cursor=nonsense", "cursor"),
        ("account=../x", "account"),
        ("flow=a/b", "flow"),
        ("state=done", "state"),
        ("state=", "state"),
    ],
)
def test_bad_value_is_refused(query: str, parameter: str) -> None:
    """A value that does not fit its parameter is answered 400 naming it."""
    got = ask(public_app(), "GET", f"/api/v1/executions?{query}")

    assert got.status == 400
    assert got.json["findings"][0]["parameter"] == parameter


@pytest.mark.parametrize("cursor", ["backup", "a/b/c", "A/x", "/", ""])
def test_bad_flow_cursor_is_refused(cursor: str) -> None:
    """Only a key can be the cursor of flows."""
    assert ask(public_app(), "GET", f"/api/v1/flows?cursor={cursor}").status == 400


@pytest.mark.parametrize(
    "target", ["/api/v1/executions", f"/api/v1/executions/{EXECUTION}"], ids=["list", "one"]
)
@pytest.mark.parametrize(
    ("local", "redacted"), [("restricted", True), ("open", False)], ids=["restricted", "open"]
)
def test_data_of_executions_is_for_full_rights(
    target: str, local: LocalAccess, *, redacted: bool
) -> None:
    """A restricted caller gets the shape without the data, one with full rights gets it all."""
    got = ask(public_app(local=local), "GET", target)
    execution = got.json["items"][0] if "items" in got.json else got.json

    assert execution["redacted"] is redacted
    assert (SECRET_INPUT not in got.text) is redacted


def test_forged_log_cursor_is_refused() -> None:
    """An offset that no file can have is a bad parameter, not a failure of the daemon."""
    cursor = LogCursor(offsets={"dump.1.log": 2**63})
    target = f"{LOGS}?cursor={pack_cursor(cursor)}"

    got = ask(public_app(local="open"), "GET", target)

    assert (got.status, got.json["code"]) == (400, "request.parameter")
    assert got.json["findings"][0]["parameter"] == "cursor"


def test_message_that_may_quote_data_is_for_full_rights() -> None:
    """What the flow itself says of a failure is withheld together with the data."""
    told = Failure(code="no_rows", message=f"none for {SECRET_INPUT}", quotes_data=True)
    whole = make_execution_view()
    view = replace(
        whole,
        execution=replace(whole.execution, error=told),
        nodes=tuple(replace(node, error=told) for node in whole.nodes),
    )

    redacted, full = (execution_json(view, redacted=redacted) for redacted in (True, False))

    assert full["error"]["message"] == full["nodes"][0]["error"]["message"] == told.message
    assert redacted["error"] == redacted["nodes"][0]["error"]
    assert redacted["error"] == {"code": "no_rows", "message": WITHHELD, "details": {}}
    assert SECRET_INPUT not in str(redacted)


def test_control_socket_shows_data() -> None:
    """The control socket is not redacted."""
    got = ask(control_app(), "GET", f"/api/v1/executions/{EXECUTION}", peer=COMMANDER)

    assert got.json["inputs"] == {"target": SECRET_INPUT}


def test_unknown_execution_is_not_found() -> None:
    """A well-formed id of nothing is 404."""
    got = ask(public_app(), "GET", f"/api/v1/executions/{sequential_id(99)}")

    assert got.status == 404


def test_output_that_is_no_text_is_still_json() -> None:
    """A byte that was no UTF-8 is written as JSON can carry it."""
    service = FakeService()
    view = make_execution_view()
    execution = replace(view.execution, inputs={"name": "caf\udce9 é"})
    service.seen = [ExecutionView(execution=execution)]

    got = ask(public_app(service, local="open"), "GET", f"/api/v1/executions/{EXECUTION}")

    assert got.json["inputs"] == {"name": "caf\udce9 é"}
    assert "é" in got.text


def test_logs_come_page_by_page() -> None:
    """The cursor of an answer goes into the next request; the last page says it is complete."""
    service = FakeService()
    service.log_pages = [make_log_page("hello"), make_log_page("bye", is_complete=True)]
    app = public_app(service, local="open")

    first = ask(app, "GET", LOGS).json
    second = ask(app, "GET", f"{LOGS}?node=dump&cursor={first['next_cursor']}").json

    assert service.calls[0] == ("logs", {"node": None, "cursor": LogCursor()})
    assert service.calls[1] == (
        "logs",
        {"node": "dump", "cursor": LogCursor(offsets={"dump.1.log": 5})},
    )
    assert first["complete"] is False
    assert second == {
        "chunks": [
            {
                "node": "dump",
                "item_index": None,
                "attempt": 1,
                "lines": [
                    {
                        "at": "2027-03-01T12:00:00Z",
                        "stream": "stdout",
                        "text": "bye",
                        "partial": False,
                    }
                ],
            }
        ],
        "next_cursor": None,
        "complete": True,
        "removed": False,
    }


def test_logs_of_one_item_are_asked_for_by_its_index() -> None:
    """The text names the item between node and attempt."""
    service, chunk = FakeService(), make_log_page("hello").chunks[0]
    service.log_pages = [LogPage(chunks=(replace(chunk, item=3),))]

    target, headers = f"{LOGS}?node=dump&item=3", {"accept": "text/plain"}
    got = ask(public_app(service, local="open"), "GET", target, headers=headers)

    assert service.calls[0] == ("logs", {"node": "dump", "cursor": LogCursor(), "item": 3})
    assert got.text == "2027-03-01T12:00:00Z dump.3.1 stdout hello\n"


@pytest.mark.parametrize("query", ["item=1", "node=dump&item=-1", "node=dump&item=x"])
def test_an_item_of_nothing_is_refused(query: str) -> None:
    """An item is one of a node, by a number from 0."""
    answer = ask(public_app(FakeService(), local="open"), "GET", f"{LOGS}?{query}")
    assert (answer.status, answer.json["code"]) == (400, "request.parameter")


def test_logs_may_be_waited_for() -> None:
    """`wait` holds the answer back for so many seconds while there is nothing new."""
    service = FakeService()
    ask(public_app(service, local="open"), "GET", f"{LOGS}?wait=2")
    assert service.calls[0] == ("logs", {"node": None, "cursor": LogCursor(), "wait_s": 2.0})


@pytest.mark.parametrize("wait", ["3", "-1", "0.5", "x", ""])
def test_a_wait_out_of_bounds_is_refused(wait: str) -> None:
    """Nobody holds a connection for as long as he likes."""
    answer = ask(public_app(FakeService(), local="open"), "GET", f"{LOGS}?wait={wait}")
    assert (answer.status, answer.json["code"]) == (400, "request.parameter")


def test_logs_as_text_are_all_there_is() -> None:
    """Who asks for text gets every page up to now, line by line."""
    service = FakeService()
    service.log_pages = [make_log_page("hello", "wörld"), make_log_page("\udce9")]

    got = ask(public_app(service, local="open"), "GET", LOGS, headers={"accept": "text/plain"})

    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.headers["cache-control"] == "no-store"
    assert got.text.splitlines() == [
        "2027-03-01T12:00:00Z dump.1 stdout hello",
        "2027-03-01T12:00:00Z dump.1 stdout wörld",
        "2027-03-01T12:00:00Z dump.1 stdout ?",
    ]


@pytest.mark.parametrize("accept", ["text/plain", "application/json"])
def test_logs_of_nothing_are_not_found(accept: str) -> None:
    """Logs of an unknown execution are 404 in either form."""
    target = f"/api/v1/executions/{sequential_id(99)}/logs"

    got = ask(public_app(local="open"), "GET", target, headers={"accept": accept})

    assert got.status == 404


def test_empty_logs_are_empty_text() -> None:
    """An execution that printed nothing has an empty log, not an error."""
    service = FakeService()
    service.log_pages = []

    got = ask(public_app(service, local="open"), "GET", LOGS, headers={"accept": "text/plain"})

    assert (got.status, got.text) == (200, "")


def test_status_tells_who_paused_all_schedules() -> None:
    """`/api/v1/status` has what `flowrunner status` shows, without what is for operators alone."""
    got = ask(public_app(), "GET", "/api/v1/status").json

    assert (got["observes"], got["redacted"], got["flows"]) == (True, True, 2)
    assert (got["schedules_paused"]["uid"], got["schedules_paused"]["reason"]) == (1000, "moving")


def test_reconcile_shows_source_pass_and_rejected_files() -> None:
    """`/api/v1/reconcile` has the source's conditions, the last pass and what is out."""
    got = ask(public_app(), "GET", "/api/v1/reconcile").json

    assert [condition["type"] for condition in got["conditions"]] == ["SourceReady"]
    assert got["last_pass"]["result"] == "applied"
    assert [file["path"] for file in got["rejected"]] == ["broken.yaml"]
    assert got["rejected"][0]["findings"][0]["line"] == 7
