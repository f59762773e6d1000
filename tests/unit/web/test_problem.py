"""Errors become problem documents, in one way and without telling too much."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from starlette.types import Message, Receive, Scope, Send

from flowrunner.errors import (
    AuthError,
    ExecutionError,
    FlowError,
    NotFoundError,
    RefusedError,
    StorageError,
    ValidationError,
)
from flowrunner.web.middleware.errors import ErrorBoundary
from flowrunner.web.problem import problem_of, problem_response
from tests.fakes.asgi import Call, ask, exchange
from tests.fakes.service import FakeService, failing_service
from tests.unit.web.apps import public_app


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ValidationError("bad"), 422, "validation"),
        (NotFoundError("gone"), 404, "not_found"),
        (RefusedError("full", code="queue_full"), 409, "queue_full"),
        (RefusedError("ended", code="ended"), 409, "ended"),
        (RefusedError("stopping", code="draining"), 503, "draining"),
        (RefusedError("no secret", code="not_ready"), 503, "not_ready"),
        (StorageError("full", code="storage.full"), 503, "storage.full"),
        (AuthError("who", code="auth.missing"), 401, "auth.missing"),
        (AuthError("who"), 401, "auth.invalid"),
        (AuthError("no", code="auth.denied"), 403, "auth.denied"),
        (ExecutionError("node"), 500, "internal"),
        (FlowError("odd", code="port_in_use"), 500, "internal"),
        (ValueError("bug"), 500, "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_error_has_its_status(error: Exception, status: int, code: str) -> None:
    """Each kind of error has one status, and the document carries its code."""
    got = ask(public_app(failing_service(error)), "GET", "/api/v1/flows")

    assert got.status == status
    assert got.json["status"] == status
    assert got.json["code"] == code


def test_problem_is_rfc_9457() -> None:
    """The document has the members of RFC 9457, our code, the request id and all findings."""
    findings = [{"input": "day", "message": "required"}, {"input": "dya", "message": "unknown"}]
    error = ValidationError("two inputs do not fit", code="input.invalid", findings=findings)

    got = ask(public_app(failing_service(error)), "GET", "/api/v1/flows")

    assert got.headers["content-type"] == "application/problem+json"
    title = got.json.pop("title")
    assert title.startswith("Unprocessable")
    assert {key: value for key, value in got.json.items() if key != "title"} == {
        "type": "urn:flowrunner:problem:input.invalid",
        "status": 422,
        "detail": "two inputs do not fit",
        "code": "input.invalid",
        "request_id": "made-id",
        "findings": findings,
    }


@pytest.mark.parametrize(
    "error",
    [RefusedError("stopping", code="draining"), StorageError("locked", code="storage.locked")],
    ids=["draining", "storage"],
)
def test_passing_trouble_says_when_to_come_back(error: FlowError) -> None:
    """A 503 says after how many seconds to ask again."""
    got = ask(public_app(failing_service(error)), "GET", "/api/v1/flows")

    assert int(got.headers["retry-after"]) > 0


def test_lasting_refusal_does_not_invite_back() -> None:
    """A refusal that does not pass by itself has no `Retry-After`."""
    assert "retry-after" not in problem_of(RefusedError("ended", code="ended")).headers


def test_unforeseen_error_tells_the_log_and_not_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A bug is answered without a word of itself, and logged with traceback and request id."""
    service = failing_service(ValueError("password=hunter2"))

    got = ask(public_app(service), "GET", "/api/v1/flows", headers={"x-request-id": "abc"})

    assert got.status == 500
    assert "hunter2" not in got.text
    record = next(r for r in caplog.records if r.message.startswith("http.internal"))
    assert "request_id=abc" in record.message
    assert record.exc_info is not None


def test_storage_error_is_logged_with_its_code(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody must act on a failing store, so the log has its code."""
    service = failing_service(StorageError("no space", code="storage.full"))

    ask(public_app(service), "GET", "/api/v1/flows")

    assert any("code=storage.full" in record.message for record in caplog.records)


def test_refusal_is_no_error_of_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    """What only the caller can put right leaves nothing above INFO in the log."""
    caplog.set_level(logging.INFO)

    ask(public_app(), "GET", "/api/v1/flows/default/unknown")

    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_error_after_the_answer_has_begun_is_raised() -> None:
    """Half an answer is not finished with a problem: the server is to cut the connection."""

    async def breaks(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"):
        asyncio.run(exchange(ErrorBoundary(breaks), Call(method="GET", target="/")))


def test_client_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle of its body gets no answer and is no error."""
    caplog.set_level(logging.INFO)
    call = Call(method="POST", target="/hooks/default/x", chunks=(b"{",), leaves=True)
    service = FakeService()

    sent, _ = asyncio.run(exchange(public_app(service), call))

    assert sent == []
    assert service.deliveries == []
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "status=499" in caplog.text


def test_problem_without_id_is_the_same_for_every_request() -> None:
    """Where a document must not differ, it can be written without the request id."""
    problem = problem_of(NotFoundError("gone"))
    body = bytes(problem_response(problem).body)

    assert "request_id" not in json.loads(body)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_other_scopes_pass_the_boundary_untouched(kind: str) -> None:
    """The boundary looks at HTTP alone; anything else passes as it is."""
    passed: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope)

    async def receive() -> Message:
        return {}

    async def send(_message: Message) -> None:
        return

    scope: Scope = {"type": kind}
    asyncio.run(ErrorBoundary(app)(scope, receive, send))

    assert passed == [scope]
