"""Hooks: what the service gets to judge, and what the sender gets to see."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from flowrunner.model.delivery import Delivery, DeliveryAnswer
from flowrunner.model.delivery_record import DeliveryReason
from flowrunner.web.app import make_public_app
from flowrunner.web.connection import ServerLimits
from flowrunner.web.middleware.authentication import LocalHosts
from flowrunner.web.server import HttpServer
from tests.fakes.asgi import Call, answer, ask
from tests.fakes.clock import FakeClock
from tests.fakes.service import UNAUTHORIZED, FakeService
from tests.unit.web.apps import EXECUTION, FakeMetrics, make_access, make_parts, public_app
from tests.unit.web.serving import connect, serve

HOOK = "/hooks/default/backup/push"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
LABEL = "default/backup/push"

ACCEPTED = DeliveryAnswer(
    status=202, result="accepted", hook=LABEL, body={"execution_id": EXECUTION}
)


def service_answering(given: DeliveryAnswer) -> FakeService:
    service = FakeService()
    service.delivery_answer = given
    return service


def test_delivery_is_handed_over_untouched() -> None:
    """The service gets path, method, headers, query and the raw body as they came."""
    service = service_answering(ACCEPTED)
    body = b'{"a":  1, "b": "\xc3\xa9"}\n'
    call = Call(
        method="PUT",
        target=f"{HOOK}%20x?a=1&b=&a=2",
        headers=(
            ("Host", "hooks.example.com"),
            ("X-Signature", "s1"),
            ("x-signature", "s2"),
            ("Content-Type", "application/json"),
        ),
        chunks=(body[:5], body[5:]),
    )

    asyncio.run(answer(public_app(service), call))

    assert service.deliveries == [
        Delivery(
            path="default/backup/push x",
            method="PUT",
            headers={
                "host": "hooks.example.com",
                "x-signature": "s1, s2",
                "content-type": "application/json",
            },
            query={"a": "1", "b": ""},
            body=body,
            source="127.0.0.1",
            network="127.0.0.1",
            request_id="made-id",
            is_local=True,
        )
    ]


@pytest.mark.parametrize("slash", ["%2f", "%2F"])
def test_encoded_slash_is_no_separator(slash: str) -> None:
    """A path whose segments are joined otherwise than the flow says is the path of no hook."""
    service = service_answering(UNAUTHORIZED)

    ask(public_app(service), "POST", f"/hooks/default/backup{slash}push")

    (delivery,) = service.deliveries
    assert delivery.path == f"default/backup{slash}push"


@pytest.mark.parametrize(
    "given",
    [
        ACCEPTED,
        DeliveryAnswer(status=200, result="ignored", hook=LABEL, body={"status": "ignored"}),
        DeliveryAnswer(
            status=200,
            result="duplicate",
            hook=LABEL,
            body={"status": "duplicate", "execution_id": EXECUTION},
        ),
    ],
    ids=lambda given: given.result,
)
def test_success_is_answered_as_json(given: DeliveryAnswer) -> None:
    """A success carries its status and its body as JSON."""
    got = ask(public_app(service_answering(given)), "POST", HOOK, body=b"{}")

    assert got.status == given.status
    assert got.headers["content-type"] == "application/json"
    assert got.json == given.body


@pytest.mark.parametrize(
    ("status", "retry_after_s"),
    [(413, None), (415, None), (422, None), (429, 30), (503, 7)],
)
def test_problem_is_answered_as_document(status: int, retry_after_s: int | None) -> None:
    """A problem carries its code and sentence, and `Retry-After` when there is one."""
    given = DeliveryAnswer(
        status=status,
        result="unavailable",
        hook=LABEL,
        problem="not now",
        code="some.code",
        retry_after_s=retry_after_s,
    )

    got = ask(public_app(service_answering(given)), "POST", HOOK, body=b"{}")

    assert got.status == status
    assert got.headers["content-type"] == "application/problem+json"
    assert (got.json["code"], got.json["detail"]) == ("some.code", "not now")
    assert got.json["request_id"] == "made-id"
    assert got.headers.get("retry-after") == (str(retry_after_s) if retry_after_s else None)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "HEAD"])
def test_every_401_is_the_same(method: str) -> None:
    """Unknown path and bad signature have the same 401, byte by byte, but for the request id."""
    unknown = service_answering(UNAUTHORIZED)
    unsigned = service_answering(
        replace(UNAUTHORIZED, hook=LABEL, problem="bad signature", code="x", retry_after_s=9)
    )

    first = ask(public_app(unknown), "POST", "/hooks/no/such", headers={"x-request-id": "one"})
    second = ask(public_app(unsigned), method, HOOK, headers={"x-request-id": "two"}, body=b"{}")

    assert (first.status, first.body) == (second.status, second.body)
    assert first.headers["www-authenticate"] == "FlowRunner"
    assert (first.headers.pop("x-request-id"), second.headers.pop("x-request-id")) == ("one", "two")
    assert first.headers == second.headers


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", ["/hooks/", "/hooks/x", "/hooks/../api/v1/flows", "/hooks//"])
def test_every_method_and_path_below_hooks_is_a_delivery(method: str, target: str) -> None:
    """Nothing below `/hooks/` is answered by anything but the hooks."""
    service = FakeService()

    got = ask(public_app(service, local="open"), method, target)

    assert got.status == 401
    assert [d.path for d in service.deliveries] == [target.removeprefix("/hooks/")]


def test_answers_are_counted_with_their_duration() -> None:
    """The metrics hear of each answer: its hook, its result, how long it took."""
    clock, metrics = FakeClock(), FakeMetrics()

    class SlowService(FakeService):
        async def deliver(self, delivery: Delivery) -> DeliveryAnswer:
            clock.advance(1.5)
            return await super().deliver(delivery)

    service = SlowService()
    service.delivery_answer = ACCEPTED
    parts = make_parts(service, metrics=metrics, clock=clock)
    app = make_public_app(parts, access=make_access(), hosts=LocalHosts())

    ask(app, "POST", HOOK, body=b"{}")

    assert metrics.answered == [(LABEL, "accepted", 1.5)]


_CHUNKS = b"POST /hooks/default/a/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
_LENGTH = b"POST /hooks/default/a/b HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [(_LENGTH[:40],), (_LENGTH, b"{}"), (_CHUNKS, b"2\r\n{}\r\n"), (_CHUNKS, b"2\r\n{")],
    ids=["head", "body", "last-chunk", "chunk"],
)
@pytest.mark.parametrize("leaves", [False, True], ids=["slow", "gone"])
def test_part_of_a_delivery_is_none(
    pieces: tuple[bytes, ...], *, leaves: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not arrive whole, in time or because its sender goes, is handed to nobody.

    It leaves a record once its head is known; one that is cut off before that a line in the log.
    """
    caplog.set_level(logging.INFO)
    service, metrics = FakeService(), FakeMetrics()

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if leaves:
                writer.write_eof()
            return await reader.read()
        except ConnectionError:  # cut off before all was sent, or with bytes that nobody read
            return b""
        finally:
            writer.close()

    limits = ServerLimits(head_timeout_s=0.05, body_timeout_s=0.05)
    got = serve(public_app(service, metrics=metrics), work, limits=limits)

    assert got == b"" or got.startswith(b"HTTP/1.1 400 ")
    assert (service.deliveries, metrics.answered) == ([], [])
    has_head = len(pieces) > 1
    noted = [(it.path, status, reason) for it, status, reason in service.refusals]
    incomplete = ("default/a/b", 499, DeliveryReason.INCOMPLETE)
    assert noted == ([incomplete] if has_head else [])
    logged = [each.partition(" ")[0] for each in caplog.messages]
    if has_head:
        assert logged == [*(["http.malformed"] if got else []), "http.request"]
    else:
        assert logged == ([] if leaves else ["http.too_slow"])
