"""Clients that send more than is read still see the answer, and cannot hold the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flowrunner.system.peers import local_peers
from flowrunner.web.app import make_control_app
from flowrunner.web.connection import ServerLimits
from flowrunner.web.lingering import LingeringTransport
from flowrunner.web.server import HttpServer
from flowrunner.web.sockets import bind_tcp, bind_unix
from tests.fakes.service import FakeService
from tests.unit.web.apps import make_parts, public_app
from tests.unit.web.serving import CLIENT_LIMITS, connect, read_whole, serve, talk

SIZE = 5 * 1024**2


def post(path: str, *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def send_all_then_read(server_at: str, *pieces: bytes) -> bytes:
    """Sends all of a request before it looks for the answer, as simple clients do."""
    at = urlsplit(server_at)
    kind = socket.AF_UNIX if at.scheme == "unix" else socket.AF_INET
    with socket.socket(kind) as client:
        client.settimeout(10)
        client.connect(at.path if at.scheme == "unix" else (at.hostname, at.port))
        for piece in pieces:
            client.sendall(piece)
        with client.makefile("rb") as answer:
            return answer.read()


async def blocking_talk(server: HttpServer, *pieces: bytes) -> bytes:
    return await asyncio.to_thread(send_all_then_read, server.bound, *pieces)


@pytest.mark.parametrize(
    ("path", "announced", "status"),
    [
        ("/hooks/default/a/b", True, 413),
        ("/hooks/default/a/b", False, 413),
        ("/api/v1/flows", True, 413),
        ("/api/v1/flows", False, 405),  # refused before anybody reads
    ],
)
def test_sender_of_a_large_body_sees_the_refusal(
    path: str, status: int, *, announced: bool
) -> None:
    """Who sends 5 MiB without looking, and wants to close, gets the whole answer and no reset."""
    service = FakeService()
    if announced:
        head, body = post(path, f"Content-Length: {SIZE}"), b"x" * SIZE
    else:
        head = post(path, "Transfer-Encoding: chunked")
        body = b"%x\r\n" % SIZE + b"x" * SIZE + b"\r\n0\r\n\r\n"

    got = serve(public_app(service), lambda server: blocking_talk(server, head, body))

    answer, _, document = got.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(document)["status"] == status
    assert service.deliveries == []


def test_control_socket_answers_a_large_body(tmp_path: Path) -> None:
    """The same holds on the unix socket."""
    app = make_control_app(make_parts(), is_attempt=local_peers().is_attempt)
    head = post("/control/v1/reconcile", f"Content-Length: {SIZE}")

    got = serve(
        app,
        lambda server: blocking_talk(server, head, b"x" * SIZE),
        bound=bind_unix(tmp_path / "s"),
    )

    assert got.startswith(b"HTTP/1.1 4")
    assert got.endswith(b"}")


def test_client_that_never_stops_is_cut_off() -> None:
    """The time to go on sending after the answer is bounded."""

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        writer.write(post("/hooks/default/a/b", f"Content-Length: {SIZE}"))
        got = await reader.read()  # ends with our half of the connection
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await asyncio.to_thread(int)  # lets the server have a turn
                await writer.drain()
        return got

    got = serve(public_app(), work, limits=ServerLimits(linger_s=0.05))

    assert got.startswith(b"HTTP/1.1 413 ")


def test_amount_dropped_after_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends more than the largest body that could be allowed loses the connection."""
    monkeypatch.setattr("flowrunner.web.lingering.LINGER_BYTES", 1000)

    async def work(server: HttpServer) -> None:
        _, writer = await connect(server)
        writer.write(post("/hooks/default/a/b", f"Content-Length: {SIZE}"))
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 100)
                await writer.drain()

    serve(public_app(), work, limits=ServerLimits(linger_s=3600))


def test_stop_does_not_wait_for_a_client_that_lingers() -> None:
    """A stop cuts a connection that is kept only to drop what its client sends."""

    async def main() -> bytes:
        limits = ServerLimits(linger_s=3600, stop_timeout_s=3600)
        server = HttpServer(public_app(), [bind_tcp("127.0.0.1", 0)], limits)
        await server.start()
        reader, writer = await connect(server)
        writer.write(post("/hooks/default/a/b", f"Content-Length: {SIZE}"))
        got = await reader.read()
        await server.stop()
        writer.close()
        return got

    assert asyncio.run(main()).startswith(b"HTTP/1.1 413 ")


class Recorder(asyncio.Transport):
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.told.append(bytes(data))

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def recorded(*, is_closed: bool, pieces: tuple[bytes, ...]) -> list[bytes | str]:
    """Returns what a transport is told of pieces that are written in one turn of the loop."""

    async def main() -> list[bytes | str]:
        recorder = Recorder()
        loop = asyncio.get_running_loop()
        transport = LingeringTransport(recorder, loop, lambda: False, 1.0)
        for piece in pieces:
            transport.write(piece)
        if is_closed:
            transport.close()
        await asyncio.sleep(0)
        return recorder.told

    return asyncio.run(main())


def test_pieces_of_one_turn_are_sent_together() -> None:
    """Head and body of an answer take one call of the system, also before a close."""
    pieces = (b"head", b"", b"body")

    assert recorded(is_closed=False, pieces=pieces) == [b"headbody"]
    assert recorded(is_closed=True, pieces=pieces) == [b"headbody", "close"]
    assert recorded(is_closed=False, pieces=(b"",)) == []


def test_much_is_sent_without_waiting_for_more() -> None:
    """What is kept back to be joined is bounded, and nothing gets lost or out of order."""
    large = b"x" * 65_536

    assert recorded(is_closed=False, pieces=(b"a", large, b"b")) == [b"a" + large, b"b"]


def test_malformed_body_ends_the_request() -> None:
    """A body that is no HTTP is answered 400 as a problem, and nobody waits for its rest."""
    head = post("/", "Transfer-Encoding: chunked")

    got = serve(read_whole, lambda server: talk(server, head, b"zz\r\n"), limits=CLIENT_LIMITS)

    assert got.startswith(b"HTTP/1.1 400 ")
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == "http.malformed"
