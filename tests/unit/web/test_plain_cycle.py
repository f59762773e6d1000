"""Plain requests take a way of their own through the server, and nobody can tell."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.web.connection import ServerLimits
from flowrunner.web.plain_requests import read_plain
from flowrunner.web.responses import json_response, text_response
from flowrunner.web.server import HttpServer
from tests.unit.web.serving import connect, read_whole, serve, talk

_DATE = re.compile(rb"date: [^\r]*\r\n")


def post(body: bytes = b"hello", *fields: str, close: bool = True) -> bytes:
    """A request that is plain unless a field makes it another one."""
    head = ["POST /a?b=c HTTP/1.1", "Host: localhost", "X-A: b", f"Content-Length: {len(body)}"]
    head += ["Connection: close"] if close else []
    return "\r\n".join([*head, *fields, "", ""]).encode() + body


async def show_request(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with all that the server says of a request, but for who is at both ends."""
    body = (await receive())["body"].decode()
    shown = {
        name: repr(value)
        for name, value in sorted(scope.items())
        if name not in ("client", "server")
    }
    await json_response({**shown, "body": body})(scope, receive, send)


def sending(*messages: Message) -> ASGIApp:
    """An application that sends these and returns."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)

    return app


def start(*fields: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(fields)}


def part(text: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Raises before an answer."""
    raise ValueError("mine")


LENGTH = (b"content-length", b"2")
APPS: dict[str, ASGIApp] = {
    "request": show_request,
    "body": read_whole,
    "empty": text_response(""),
    "pieces": sending(start(LENGTH), part(b"o", more=True), part(b"k")),
    "refusal": text_response("no", status=422),
    "fields": sending(start(LENGTH, (b"x-a", b"b"), (b"x-a", b"c"), status=299), part(b"ok")),
}


@pytest.mark.parametrize("name", APPS)
def test_the_answer_is_that_of_the_other_way(name: str) -> None:
    """Byte by byte the same comes back, whether a request is seen at a glance or parsed."""
    requests = [post(close=False), post(b"bye")]
    for_the_parser = [request.replace(b"X-A: b", b"X-A:b") for request in requests]
    assert all(read_plain(request) for request in requests)
    assert not any(read_plain(request) for request in for_the_parser)

    plain = serve(APPS[name], lambda server: in_turn(server, requests))
    parsed = serve(APPS[name], lambda server: in_turn(server, for_the_parser))

    assert _DATE.sub(b"", plain) == _DATE.sub(b"", parsed)
    assert plain.count(b"HTTP/1.1 ") == len(requests)


async def in_turn(server: HttpServer, requests: Sequence[bytes]) -> bytes:
    """Sends each request when the one before is answered; returns all that came."""
    reader, writer = await connect(server)
    got = b""
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        got += head + await reader.readexactly(length)
    got += await reader.read()
    writer.close()
    return got


async def some_turns() -> None:
    """Lets the server, in this loop too, read what has been sent over loopback."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("app", [failing, sending()], ids=["raises", "silent"])
def test_without_an_answer_it_is_500(app: ASGIApp) -> None:
    """An application that raises, or says nothing, is answered for, and the connection closed."""
    got = serve(app, lambda server: talk(server, post(close=False)))

    assert got.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert got.endswith(b"\r\n\r\nInternal Server Error")


@pytest.mark.parametrize(
    "messages",
    [
        [start(LENGTH), part(b"o")],
        [start(LENGTH), part(b"okay")],
        [start(LENGTH)],
        [start((b"x-a", b"b\r\nx-b: c"), LENGTH), part(b"ok")],
        [start((b"x-a", b"b\nx-b: c"), LENGTH), part(b"ok")],
        [part(b"ok")],
    ],
    ids=["too-short", "too-long", "no-body", "field-of-two-lines", "bare-lf", "no-head"],
)
def test_what_cannot_be_sent_rightly_is_cut_or_answered_500(messages: list[Message]) -> None:
    """An answer that another reader would split otherwise never leaves; the fault is logged."""
    got = serve(sending(*messages), lambda server: talk(server, post(close=False)))

    assert got == b"" or got.startswith(b"HTTP/1.1 500 ")
    assert b"x-b" not in got


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    """Where nothing says how long an answer is, the connection is closed behind it."""
    app = sending(start(), part(b"o", more=True), part(b"k"))

    got = serve(app, lambda server: talk(server, post(close=False)))

    assert b"\r\nConnection: close\r\n" in got
    assert got.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize("app", [read_whole, failing, sending()], ids=["ok", "raises", "silent"])
def test_a_request_that_is_over_is_forgotten(app: ASGIApp) -> None:
    """A stop waits for none that is answered, whatever its answer was."""

    async def work(server: HttpServer) -> int:
        await talk(server, post())
        return len(server._server.server_state.tasks)

    assert serve(app, work) == 0


def test_a_fault_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What an application raises is in the log, once, with its traceback."""
    with caplog.at_level(logging.ERROR):
        serve(failing, lambda server: talk(server, post()))

    (record,) = caplog.records
    assert record.exc_info


@pytest.mark.parametrize("behind", [post(b"bye"), b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_what_comes_before_the_answer_waits_for_it(behind: bytes) -> None:
    """Bytes behind a plain request are the next one's, whose answer comes second."""
    answering = asyncio.Event()

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        if body == b"hello":
            await answering.wait()
        await text_response(body.decode() or "-")(scope, receive, send)

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        writer.write(post(close=False))
        await some_turns()
        writer.write(behind)
        await some_turns()
        answering.set()
        if behind.startswith(b"GET"):
            writer.write(b"Connection: close\r\n\r\n")
        got = await reader.read()
        writer.close()
        return got

    got = serve(slowly, work)

    first, second = got.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.endswith(b"\r\n\r\nhello")
    assert second.endswith(b"bye" if behind.startswith(b"POST") else b"-")


def test_nothing_is_read_behind_the_last_request() -> None:
    """Bytes behind a request that closes the connection are no request, and the answer arrives."""

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        await some_turns()
        await read_whole(scope, receive, send)

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        writer.write(post())
        await asyncio.sleep(0)
        writer.write(post(b"bye"))
        got = await reader.read()
        writer.close()
        return got

    got = serve(slowly, work)

    assert got.count(b"HTTP/1.1 ") == 1
    assert got.endswith(b"\r\n\r\n5")


def test_who_leaves_is_noticed() -> None:
    """The application learns that nobody waits for the answer any more."""
    left = asyncio.Event()

    async def waiting(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async def work(server: HttpServer) -> None:
        _, writer = await connect(server)
        writer.write(post())
        await some_turns()
        writer.close()
        await asyncio.wait_for(left.wait(), 10)

    serve(waiting, work)


def test_a_connection_too_many_is_refused_as_ever() -> None:
    """Beyond the limit of connections a plain request is answered 503 too."""

    async def work(server: HttpServer) -> bytes:
        _, held = await connect(server)
        await some_turns()
        got = await talk(server, post())
        held.close()
        return got

    assert serve(read_whole, work, limits=ServerLimits(max_connections=1)).startswith(
        b"HTTP/1.1 503 "
    )


def test_a_stop_waits_for_a_plain_request() -> None:
    """An answer under way is sent before the server has stopped, and the connection closed."""
    begun = asyncio.Event()

    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await some_turns()
        await text_response("late")(scope, receive, send)

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        writer.write(post(close=False))
        await begun.wait()
        await server.stop()
        got = await reader.read()
        writer.close()
        return got

    assert serve(slowly, work).endswith(b"\r\n\r\nlate")
