"""Commands on the control socket, and who may give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.ids import FlowKey, Json
from tests.fakes.asgi import Answer, ask
from tests.fakes.ids import sequential_id
from tests.fakes.service import FakeService, failing_service
from tests.unit.web.apps import COMMANDER, EXECUTION, FLOW, control_app

START = f"/control/v1/flows/{FLOW}/executions"
JSON = {"content-type": "application/json"}


def post(service: FakeService, target: str, content: Any = None) -> Answer:
    body = b"" if content is None else json.dumps(content).encode()
    return ask(control_app(service), "POST", target, headers=JSON, body=body, peer=COMMANDER)


def test_start_returns_the_accepted_execution() -> None:
    """A start is answered 202 with the id, and where to look."""
    service = FakeService()

    got = post(service, START, {"inputs": {"day": "2027-03-01"}, "as_text": True})

    assert (got.status, got.json) == (202, {"execution_id": EXECUTION})
    assert got.headers["location"] == f"/api/v1/executions/{EXECUTION}"
    assert service.calls == [
        (
            "start",
            {
                "key": FlowKey("default", "backup"),
                "inputs": {"day": "2027-03-01"},
                "as_text": True,
            },
        )
    ]


@pytest.mark.parametrize("content", [None, {}], ids=["no-body", "empty-object"])
def test_start_without_inputs(content: Any) -> None:
    """Without a body the flow starts with its defaults, values taken as they are."""
    service = FakeService()

    assert post(service, START, content).status == 202
    assert service.calls[0][1]["inputs"] == {}
    assert service.calls[0][1]["as_text"] is False


@pytest.mark.parametrize(
    "content",
    [[], "x", {"inputs": []}, {"as_text": 1}, {"input": {}}],
    ids=["list", "text", "inputs-list", "as-text-number", "unknown-key"],
)
def test_start_with_a_bad_body_is_refused(content: Any) -> None:
    """A body of another shape is answered 422 and starts nothing."""
    service = FakeService()

    got = post(service, START, content)

    assert (got.status, got.json["code"]) == (422, "request.body")
    assert service.calls == []


def test_start_tells_all_faults_of_a_body() -> None:
    """All that is wrong with the body is told at once."""
    got = post(FakeService(), START, {"inputs": 1, "as_text": 1, "x": 1})

    assert len(got.json["findings"]) == 3


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"inputs": {"x": NaN}}', b"\xff", b"[" * 900],
    ids=["cut", "nan", "no-utf8", "nested"],
)
def test_start_with_no_json_is_refused(body: bytes) -> None:
    """What is not JSON is answered 422, however odd."""
    got = ask(control_app(), "POST", START, headers=JSON, body=body, peer=COMMANDER)

    assert (got.status, got.json["code"]) == (422, "request.body")


def test_start_with_another_content_type_is_refused() -> None:
    """A body must say that it is JSON."""
    headers = {"content-type": "text/plain"}

    got = ask(control_app(), "POST", START, headers=headers, body=b"{}", peer=COMMANDER)

    assert (got.status, got.json["code"]) == (415, "http.media_type")


def test_refused_start_says_why() -> None:
    """Inputs that do not fit come back with the findings of the service."""
    error = ValidationError("bad input", code="input.type", findings=[{"input": "day"}])

    got = post(failing_service(error), START, {})

    assert (got.status, got.json["findings"]) == (422, [{"input": "day"}])


def test_cancel_is_accepted() -> None:
    """A cancel is answered 202: the execution will end."""
    service = FakeService()

    got = post(service, f"/control/v1/executions/{EXECUTION}/cancel")

    assert (got.status, got.json) == (202, {"execution_id": EXECUTION})
    assert service.calls[0] == ("cancel", {"execution_id": EXECUTION, "force": False})


def test_cancel_by_force_is_passed_on() -> None:
    """`force` in the body leaves out the execution's `finally`."""
    service = FakeService()

    post(service, f"/control/v1/executions/{EXECUTION}/cancel", {"force": True})

    assert service.calls[0] == ("cancel", {"execution_id": EXECUTION, "force": True})


@pytest.mark.parametrize("body", [{"force": "yes"}, {"forced": True}])
def test_cancel_with_a_wrong_body_is_refused(body: dict[str, Json]) -> None:
    """A word that is not known, or no truth value, does nothing at all."""
    service = FakeService()

    got = post(service, f"/control/v1/executions/{EXECUTION}/cancel", body)

    assert (got.status, got.json["code"], service.calls) == (422, "request.body", [])


def test_cancel_of_an_ended_execution_is_a_conflict() -> None:
    """What has ended cannot be cancelled: 409 with the code `ended`."""
    service = failing_service(RefusedError("has ended", code="ended"))

    got = post(service, f"/control/v1/executions/{EXECUTION}/cancel")

    assert (got.status, got.json["code"]) == (409, "ended")


def test_cancel_of_nothing_is_not_found() -> None:
    """An unknown execution is 404."""
    got = post(FakeService(), f"/control/v1/executions/{sequential_id(99)}/cancel")

    assert got.status == 404


def test_reconcile_answers_with_the_pass() -> None:
    """A pass asked for by command is answered with how it ended."""
    got = post(FakeService(), "/control/v1/reconcile")

    assert (got.status, got.json["result"], got.json["added"]) == (200, "applied", 1)


def test_status_is_the_daemon_at_a_glance() -> None:
    """Status has version, source, counts, checks and conditions."""
    got = ask(control_app(), "GET", "/control/v1/status", peer=COMMANDER)

    assert set(got.json) == {
        *("version", "started_at", "source", "flows", "flows_ready"),
        *("executions_running", "executions_queued", "status", "checks", "conditions"),
    }


@pytest.mark.parametrize(
    "peer",
    [("uid:1000", 666), ("127.0.0.1", 51514), None],
    ids=["attempt", "network-peer", "unknown-peer"],
)
@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", START), ("GET", "/api/v1/flows"), ("GET", "/livez"), ("GET", "/nothing")],
    ids=["command", "read", "health", "nothing"],
)
def test_attempts_and_nameless_peers_are_refused(
    peer: tuple[str, int] | None, method: str, target: str
) -> None:
    """The control socket has nothing, not even a 404, for an attempt or a peer without a name."""
    service = FakeService()

    got = ask(control_app(service, attempt_pid=666), method, target, peer=peer)

    assert (got.status, got.json["code"]) == (403, "auth.denied")
    assert service.calls == []


@pytest.mark.parametrize("target", [None, "/mnt/copy.db"])
def test_backup_answers_with_its_path(target: str | None) -> None:
    """The file that was asked for, or the daemon's next one."""
    service = FakeService()

    got = post(service, "/control/v1/backup", {"file": target})

    assert got.status == 200
    assert got.json == {"path": target or "/state/backup/flowrunner-1.db"}
    assert service.calls == [("backup", {"target": target})]


@pytest.mark.parametrize(
    "content", [{"file": "copy.db"}, {"file": 1}, {"path": "/x"}], ids=["relative", "number", "key"]
)
def test_backup_refuses_what_is_no_absolute_path(content: Any) -> None:
    """A relative path would be relative to a folder that the caller does not know."""
    service = FakeService()

    assert post(service, "/control/v1/backup", content).status == 422
    assert service.calls == []


def test_restored_state_is_acknowledged() -> None:
    """The command ends the condition."""
    service = FakeService()

    assert post(service, "/control/v1/restored/acknowledge").json == {"conditions": []}
    assert service.calls == [("acknowledge_restored", {})]
