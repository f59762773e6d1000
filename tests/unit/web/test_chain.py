"""What every request passes: its id, its line in the log, its limits, its parameters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.web.callers import AccessRules
from flowrunner.web.middleware.access_log import AccessLog
from flowrunner.web.middleware.account_border import AccountBorder
from flowrunner.web.middleware.authentication import Authentication, SocketCallers
from flowrunner.web.middleware.body_limit import BodyLimit, BodyRoom
from flowrunner.web.middleware.cors import Cors
from flowrunner.web.middleware.errors import ErrorBoundary
from flowrunner.web.middleware.peer import PeerCheck
from flowrunner.web.middleware.rate_limit import RateLimit
from flowrunner.web.middleware.request_id import RequestId
from flowrunner.web.middleware.validation import RequestValidation
from flowrunner.web.origins import Proxies
from flowrunner.web.routing import RouteTable
from tests.fakes.asgi import Call, answer, ask, exchange
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, failing_service
from tests.unit.web.apps import (
    COMMANDER,
    MAX_BODY,
    control_app,
    make_access,
    make_parts,
    public_app,
)

HOOK = "/hooks/default/backup/push"

LINKS: dict[str, Callable[[ASGIApp], ASGIApp]] = {
    "boundary": ErrorBoundary,
    "request-id": lambda app: RequestId(app, new_id=lambda: "x"),
    "access-log": lambda app: AccessLog(app, clock=FakeClock(), origin_of=Proxies().origin_of),
    "body-limit": lambda app: BodyLimit(app, max_bytes=1, room=BodyRoom(1)),
    "peer": lambda app: PeerCheck(app, is_attempt=lambda _pid, _uid: True),
    "authentication": lambda app: Authentication(
        app, table=RouteTable([]), callers=SocketCallers()
    ),
    "cors": lambda app: Cors(app, rules=lambda: AccessRules(cors=frozenset({"https://a.example"}))),
    "rate-limit": lambda app: RateLimit(app, access=make_access()),
    "account-border": lambda app: AccountBorder(
        app, account_of=make_parts().account_of, refused=make_access().counts.access_refused
    ),
    "validation": RequestValidation,
}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.message.startswith("http.request")]


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_other_scopes_pass_every_link(link: Callable[[ASGIApp], ASGIApp]) -> None:
    """Each link leaves anything but HTTP alone."""
    passed: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        passed.extend((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(_message: Message) -> None:
        return

    scope: Scope = {"type": "lifespan"}
    asyncio.run(_awaited(link(app)(scope, receive, send)))

    assert passed == [scope, receive, send]


async def _awaited(awaitable: Any) -> None:
    await awaitable


@pytest.mark.parametrize("target", ["/livez", "/nothing"], ids=["answer", "problem"])
def test_well_formed_request_id_is_returned(target: str) -> None:
    """The caller's own id comes back, with an answer and with a problem."""
    got = ask(public_app(), "GET", target, headers={"X-Request-ID": "ci-run_7.a"})

    assert got.headers["x-request-id"] == "ci-run_7.a"


@pytest.mark.parametrize(
    "given", ["", "two words", "a" * 65, "line\nbreak", "é"], ids=lambda text: repr(text[:12])
)
def test_malformed_request_id_is_replaced(given: str) -> None:
    """An id that could disturb a log is not taken over."""
    got = ask(public_app(), "GET", "/livez", headers={"X-Request-ID": given})

    assert got.headers["x-request-id"] == "made-id"


def test_answers_are_neither_kept_nor_guessed() -> None:
    """Every answer forbids caches to keep it and browsers to guess its type."""
    for target in ("/livez", "/metrics", "/api/v1/flows", "/nothing"):
        got = ask(public_app(), "GET", target)

        assert got.headers["cache-control"] == "no-store"
        assert got.headers["x-content-type-options"] == "nosniff"


def test_each_request_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The access log has method, path, status, duration, peer and request id of a request."""
    caplog.set_level(logging.DEBUG)

    ask(public_app(), "GET", "/livez", headers={"x-request-id": "abc"})

    facts = "method=GET path=/livez status=200 duration_ms=0.0 peer=127.0.0.1:51514"
    assert lines(caplog) == [f"http.request {facts} request_id=abc"]


@pytest.mark.parametrize(
    ("service", "target", "status"),
    [
        (FakeService(), "/api/v1/flows/default/unknown", 404),
        (FakeService(), "/nothing", 404),
        (failing_service(ValueError("bug")), "/api/v1/flows", 500),
    ],
    ids=["not-found", "no-route", "bug"],
)
def test_line_has_the_status_of_a_problem(
    caplog: pytest.LogCaptureFixture, service: FakeService, target: str, status: int
) -> None:
    """What the caller gets to see is what the log says, for errors too."""
    caplog.set_level(logging.INFO)

    got = ask(public_app(service), "GET", target)

    assert got.status == status
    assert f"status={status}" in lines(caplog)[0]


def test_line_holds_no_query_and_no_header(caplog: pytest.LogCaptureFixture) -> None:
    """What may be a secret is not written: neither query string nor headers."""
    caplog.set_level(logging.INFO)
    headers = {"authorization": "Bearer s3cret", "x-gitlab-token": "s3cret"}

    ask(public_app(), "POST", f"{HOOK}?token=s3cret", headers=headers)

    assert "s3cret" not in caplog.text


def test_line_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A path with a line break, or a very long one, cannot forge or flood the log."""
    caplog.set_level(logging.INFO)

    ask(public_app(), "GET", "/x%0Ahttp.request%20forged/" + "a" * 10_000)

    assert "\n" not in lines(caplog)[0]
    assert len(lines(caplog)[0]) < 400


def test_line_of_a_command_names_user_and_process(caplog: pytest.LogCaptureFixture) -> None:
    """Who gave a command can be read in the log."""
    caplog.set_level(logging.INFO)

    ask(control_app(), "POST", "/control/v1/reconcile", peer=COMMANDER)

    assert "path=/control/v1/reconcile" in lines(caplog)[0]
    assert "peer=uid:1000/pid:4242" in lines(caplog)[0]


@pytest.mark.parametrize("size", [0, 1, MAX_BODY], ids=["empty", "small", "just-fits"])
def test_body_within_the_limit_passes(size: int) -> None:
    """A body up to the limit reaches its handler whole."""
    service = FakeService()

    ask(public_app(service), "POST", HOOK, body=b"x" * size)

    assert [len(delivery.body) for delivery in service.deliveries] == [size]


@pytest.mark.parametrize("length", [str(MAX_BODY + 1), "9" * 5_000], ids=["one-more", "absurd"])
@pytest.mark.parametrize(
    ("method", "target"), [("POST", HOOK), ("GET", "/livez")], ids=["hook", "health"]
)
def test_announced_body_is_refused_unread(method: str, target: str, length: str) -> None:
    """A body that says it is too large is answered 413 before a byte of it is read."""
    headers = (("content-length", length),)
    call = Call(method=method, target=target, headers=headers, chunks=(b"x", b"y"))

    sent, unread = asyncio.run(exchange(public_app(), call))

    assert sent[0]["status"] == 413
    assert len(unread) == 2


def test_streamed_body_is_refused_when_it_grows_too_long() -> None:
    """A body without a length is answered 413 as soon as it is too large, the rest unread."""
    chunk = b"x" * (MAX_BODY // 2)
    call = Call(method="POST", target=HOOK, chunks=(chunk,) * 10)
    service = FakeService()

    sent, unread = asyncio.run(exchange(public_app(service), call))

    assert sent[0]["status"] == 413
    assert len(unread) == 7
    assert service.deliveries == []


def test_body_that_lies_about_its_length_is_counted() -> None:
    """What counts is what arrives, not what was announced."""
    call = Call(
        method="POST",
        target=HOOK,
        headers=(("content-length", "1"),),
        chunks=(b"x" * (MAX_BODY + 1),),
    )

    got = asyncio.run(answer(public_app(), call))

    assert got.status == 413
    assert got.json["code"] == "http.too_large"
    assert str(MAX_BODY) in got.json["detail"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/api/v1/flows?acount=default", "unknown parameter 'acount'"),
        ("/api/v1/flows?limit=1&limit=2", "parameter 'limit' is given twice"),
        ("/api/v1/flows/default/backup?x=", "unknown parameter 'x'"),
    ],
    ids=["misspelt", "twice", "none-known"],
)
def test_parameter_that_would_be_ignored_is_refused(target: str, message: str) -> None:
    """An unknown or repeated query parameter is an error that says so."""
    got = ask(public_app(), "GET", target)

    assert got.status == 400
    assert got.json["code"] == "request.parameter"
    assert [finding["message"] for finding in got.json["findings"]] == [message]


def test_misspelt_parameter_has_a_hint() -> None:
    """A parameter that is nearly one gets the right name."""
    got = ask(public_app(), "GET", "/api/v1/flows?acount=default")

    assert got.json["findings"][0]["hint"] == "did you mean 'account'?"


def test_all_bad_parameters_are_told_at_once() -> None:
    """One answer names every bad parameter."""
    got = ask(public_app(), "GET", "/api/v1/executions?a=1&b=2&limit=3")

    assert [finding["parameter"] for finding in got.json["findings"]] == ["a", "b"]


@pytest.mark.parametrize("target", ["/livez?verbose", "/metrics?x=1"], ids=["health", "metrics"])
def test_probes_may_ask_with_parameters(target: str) -> None:
    """Probes and scrapers are served whatever they add."""
    assert ask(public_app(), "GET", target).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/executions/..",
        "/api/v1/executions/00000000-0000-7000-8000-00000000000G",
        "/api/v1/executions/00000000-0000-7000-8000-000000000001%0A",
        "/api/v1/flows/default/Backup",
        "/api/v1/flows/%2e%2e/backup",
        "/api/v1/flows/default/" + "a" * 64,
    ],
)
def test_malformed_name_does_not_exist(target: str) -> None:
    """A segment that cannot be a name or id is not found, and the service is not asked."""
    service = FakeService()

    assert ask(public_app(service), "GET", target).status == 404
    assert service.calls == []
