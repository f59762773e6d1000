"""What the access log says of a refusal, and how loud a request is."""

from __future__ import annotations

import logging

import pytest

from flowrunner.errors import StorageError
from flowrunner.model.delivery import DeliveryAnswer, Unproven
from tests.fakes.asgi import ask
from tests.fakes.service import UNAUTHORIZED, FakeService, failing_service
from tests.unit.web.apps import COMMANDER, control_app, public_app

HOOK = "/hooks/default/backup/push"
NO_JSON = DeliveryAnswer(
    status=415, result="unsupported", hook="x", problem="no", code="delivery.content_type"
)
ACCEPTED = DeliveryAnswer(status=202, result="accepted", hook="x", body={"execution_id": "1"})


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def the_line(log: pytest.LogCaptureFixture) -> logging.LogRecord:
    (found,) = [each for each in log.records if each.message.startswith("http.request")]
    return found


def answering(given: DeliveryAnswer) -> FakeService:
    service = FakeService()
    service.delivery_answer = given
    return service


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/hooks/a.b/c_d-9", "/hooks/a.b/c_d-9"),
        ("/hooks/a%20b", "/hooks/a%20b"),
        ("/hooks/%C3%A9", "/hooks/%C3%A9"),
        ("/hooks/a%0A", "/hooks/a%0A"),
        ("/hooks/" + "a" * 300, "/hooks/" + "a" * 193),
    ],
    ids=["plain", "blank", "letters", "line-end", "long"],
)
def test_path_is_shown_as_it_is_written_in_a_url(
    log: pytest.LogCaptureFixture, path: str, shown: str
) -> None:
    """What is no plain path is quoted, so that a line stays one line; a long one is cut."""
    ask(public_app(), "POST", path)

    assert f" path={shown} status=" in the_line(log).message


def test_line_says_where_it_was_made(log: pytest.LogCaptureFixture) -> None:
    """Who looks for a line of the log finds its module."""
    ask(public_app(), "GET", "/livez")

    assert the_line(log).module == "access_log"


def test_line_of_a_refused_delivery_has_its_code(log: pytest.LogCaptureFixture) -> None:
    """Why a delivery was refused stands beside its status."""
    ask(public_app(answering(NO_JSON)), "POST", HOOK, body=b"{}")

    assert "status=415" in the_line(log).message
    assert the_line(log).message.endswith(" code=delivery.content_type")


@pytest.mark.parametrize(
    ("service", "target", "code"),
    [
        (FakeService(), "/api/v1/flows/default/unknown", "not_found"),
        (FakeService(), "/api/v1/flows?x=1", "request.parameter"),
        (
            failing_service(StorageError("full", code="storage.full")),
            "/api/v1/flows",
            "storage.full",
        ),
        (failing_service(ValueError("bug")), "/api/v1/flows", "internal"),
    ],
    ids=["not-found", "parameter", "storage", "bug"],
)
def test_line_of_a_problem_has_its_code(
    log: pytest.LogCaptureFixture, service: FakeService, target: str, code: str
) -> None:
    """A refused request has the code of its problem document in its line."""
    ask(public_app(service), "GET", target)

    assert the_line(log).message.endswith(f" code={code}")


@pytest.mark.parametrize("cause", list(Unproven))
def test_cause_of_a_401_is_in_the_log_alone(log: pytest.LogCaptureFixture, cause: Unproven) -> None:
    """Whoever reads the log learns what was wrong; the sender sees the answer to everybody."""
    given = DeliveryAnswer(
        status=401, result="unauthorized", hook="x", problem="no", code="auth.invalid", cause=cause
    )
    plain = ask(public_app(answering(UNAUTHORIZED)), "POST", "/hooks/no/such")
    log.clear()

    got = ask(public_app(answering(given)), "POST", HOOK)

    assert the_line(log).message.endswith(f" code=auth.invalid cause={cause}")
    assert (got.status, got.headers, got.body) == (plain.status, plain.headers, plain.body)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/livez", "/metrics", "/api/v1/flows"])
def test_read_that_succeeds_is_quiet(
    log: pytest.LogCaptureFixture, method: str, target: str
) -> None:
    """Probes and scrapers do not drown the executions: their lines are at DEBUG."""
    ask(public_app(), method, target)

    assert the_line(log).levelno == logging.DEBUG


def test_refused_read_is_told(log: pytest.LogCaptureFixture) -> None:
    """A read that is refused stands in the log at its usual level."""
    ask(public_app(), "GET", "/nothing")

    assert the_line(log).levelno == logging.INFO


def test_command_is_told(log: pytest.LogCaptureFixture) -> None:
    """What changes anything stands in the log at its usual level."""
    ask(control_app(), "POST", "/control/v1/reconcile", peer=COMMANDER)

    assert the_line(log).levelno == logging.INFO


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_delivery_is_told(log: pytest.LogCaptureFixture, method: str) -> None:
    """A delivery stands in the log at its usual level, by GET too, for it starts something."""
    ask(public_app(answering(ACCEPTED)), method, HOOK)

    assert the_line(log).levelno == logging.INFO
