"""Commands on the control socket, and who may give them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flowrunner.errors import RefusedError, ValidationError
from flowrunner.model.ids import FlowKey
from flowrunner.service.settings_desk import SettingsDesk, SettingsView
from flowrunner.web.app import make_control_app
from tests.fakes.asgi import Answer, ask
from tests.fakes.ids import sequential_id
from tests.fakes.service import FakeService, failing_service
from tests.unit.web.apps import COMMANDER, EXECUTION, FLOW, control_app, make_parts

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
                "force": False,
            },
        )
    ]


def test_start_can_be_forced() -> None:
    """A flow that is suspended or paused starts when that is said."""
    service = FakeService()

    assert post(service, START, {"force": True}).status == 202
    assert service.calls[0][1]["force"] is True


def test_retry_returns_the_new_execution() -> None:
    """A retry is answered as a start is, with what was accepted."""
    service = FakeService()

    path = f"/control/v1/executions/{EXECUTION}/retry"
    got = post(service, path, {"force": True})
    post(service, path, {"from": "build"})

    assert (got.status, got.json) == (202, {"execution_id": EXECUTION})
    assert service.calls == [
        ("retry", {"execution_id": EXECUTION, "force": True, "from_node": None}),
        ("retry", {"execution_id": EXECUTION, "force": False, "from_node": "build"}),
    ]


def test_cancel_of_what_waits_tells_the_ids() -> None:
    """By flow every queued execution is ended; by id only one that still waits."""
    service = FakeService()

    got = post(service, f"/control/v1/flows/{FLOW}/cancel-queued")
    post(service, f"/control/v1/executions/{EXECUTION}/cancel", {"queued": True})

    assert (got.status, got.json) == (200, {"execution_ids": [EXECUTION]})
    assert service.calls == [
        ("cancel_queued", {"key": FlowKey("default", "backup")}),
        ("cancel", {"execution_id": EXECUTION, "only_queued": True, "force": False}),
    ]


@pytest.mark.parametrize(
    ("command", "content"),
    [("cancel", {"queued": 1}), ("cancel", {"forced": True}), ("retry", {"from": 5})],
)
def test_flag_of_another_shape_is_refused(command: str, content: Any) -> None:
    """A key that means nothing, or no flag, ends and starts nothing."""
    service = FakeService()

    got = post(service, f"/control/v1/executions/{EXECUTION}/{command}", content)

    assert (got.status, got.json["code"]) == (422, "request.body")
    assert service.calls == []


def test_pause_names_who_asked() -> None:
    """A pause has its reason, its end, and the user at the other end of the socket."""
    service = FakeService()
    body = {"reason": "migration", "until": "2027-03-01T13:00:00+01:00"}

    got = post(service, f"/control/v1/flows/{FLOW}/pause", body)

    assert (got.status, got.json["name"]) == (200, "backup")
    assert service.calls == [
        (
            "pause",
            {
                "key": FlowKey("default", "backup"),
                "reason": "migration",
                "until": datetime(2027, 3, 1, 12, tzinfo=UTC),
                "uid": 1000,
            },
        )
    ]


@pytest.mark.parametrize(
    "content",
    [
        *({"until": "tomorrow"}, {"until": 5}, {"reason": 5}, {"reason": "x" * 501}, {"for": "1h"}),
        {"until": "9999-12-31T23:59:59-12:00"},  # a year that UTC does not have
    ],
)
def test_pause_with_a_bad_body_is_refused(content: Any) -> None:
    """What is no time, no text or no key pauses nothing."""
    service = FakeService()

    got = post(service, f"/control/v1/flows/{FLOW}/pause", content)

    assert (got.status, got.json["code"]) == (422, "request.body")
    assert service.calls == []


def test_resume_answers_with_the_flow() -> None:
    """The answer tells what still holds the flow."""
    service = FakeService()

    got = post(service, f"/control/v1/flows/{FLOW}/resume")

    assert (got.status, got.json["name"]) == (200, "backup")
    assert service.calls == [("resume", {"key": FlowKey("default", "backup")})]


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
    assert service.calls[0] == (
        "cancel",
        {"execution_id": EXECUTION, "only_queued": False, "force": False},
    )


def test_cancel_by_force_is_passed_on() -> None:
    """`force` in the body leaves out the execution's `finally`."""
    service = FakeService()

    post(service, f"/control/v1/executions/{EXECUTION}/cancel", {"force": True})

    assert service.calls[0] == (
        "cancel",
        {"execution_id": EXECUTION, "only_queued": False, "force": True},
    )


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
    """A pass that is waited for is answered with how it ended."""
    got = post(FakeService(), "/control/v1/reconcile", {"wait": True})

    assert (got.status, got.json["result"], got.json["added"]) == (200, "applied", 1)


@pytest.mark.parametrize("content", [None, {}, {"wait": False}], ids=["none", "empty", "false"])
def test_reconcile_that_is_not_waited_for_is_accepted(content: Any) -> None:
    """A pass that is only asked for is answered 202 at once."""
    service = FakeService()

    got = post(service, "/control/v1/reconcile", content)

    assert (got.status, got.json) == (202, {"status": "requested"})
    assert service.calls == [("reconcile_soon", {})]


@pytest.mark.parametrize("wait", [True, False])
def test_reconcile_can_ignore_a_lock(*, wait: bool) -> None:
    """The lock is given up before the pass begins, waited for or not."""
    service = FakeService()

    post(service, "/control/v1/reconcile", {"ignore_lock": True, "wait": wait})

    calls = ["ignore_lock", "reconcile" if wait else "reconcile_soon"]
    assert [name for name, _ in service.calls] == calls


def test_an_approval_is_handed_on_and_waited_for() -> None:
    """The revision that was shown goes with it, and the answer is how the pass ended."""
    service = FakeService()

    got = post(service, "/control/v1/reconcile", {"allow_prune": "abc123", "wait": False})

    assert (got.status, got.json["result"]) == (200, "applied")
    assert service.calls == [("allow_prune", {"revision": "abc123"})]


@pytest.mark.parametrize(
    "content",
    [{"wait": 1}, {"wiat": True}, {"allow_prune": True}],
    ids=["number", "unknown-key", "no-revision"],
)
def test_reconcile_with_a_bad_body_is_refused(content: Any) -> None:
    """A body of another shape is answered 422 and asks for nothing."""
    service = FakeService()

    got = post(service, "/control/v1/reconcile", content)

    assert (got.status, got.json["code"]) == (422, "request.body")
    assert service.calls == []


class Desk(SettingsDesk):
    """Settings that have changed."""

    async def reload(self) -> SettingsView:
        return SettingsView(
            result="refused", waiting=("server.listen",), findings=({"code": "settings.value"},)
        )


@pytest.mark.parametrize("wait", [True, False])
def test_reload_reads_settings_and_flows(*, wait: bool) -> None:
    """The answer tells of the settings, and a pass is made even where they are refused."""
    service = FakeService()
    parts = replace(make_parts(service), settings=Desk())
    app = make_control_app(parts, is_attempt=lambda _pid, _uid: False)
    body = json.dumps({"wait": wait}).encode()

    got = ask(app, "POST", "/control/v1/reload", headers=JSON, body=body, peer=COMMANDER)

    assert got.status == (200 if wait else 202)
    assert got.json["settings"] == {
        "result": "refused",
        "applied": [],
        "need_restart": ["server.listen"],
        "findings": [{"code": "settings.value"}],
    }
    assert [name for name, _ in service.calls] == ["reconcile" if wait else "reconcile_soon"]


def test_status_is_the_daemon_at_a_glance() -> None:
    """Status has version, source, counts, checks, conditions, and what keeps it from starting."""
    got = ask(control_app(), "GET", "/control/v1/status", peer=COMMANDER)

    assert set(got.json) == {
        *("version", "started_at", "source", "flows", "flows_ready"),
        *("executions_running", "executions_queued", "status", "checks", "conditions"),
        *("accounts", "observes", "schedules_paused", "redacted"),
    }
    assert (got.json["observes"], got.json["redacted"]) == (True, False)
    assert got.json["schedules_paused"] == {
        "at": "2027-03-01T12:00:00Z",
        "reason": "moving",
        "uid": 1000,
        "until": "2027-03-01T13:00:00Z",
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
