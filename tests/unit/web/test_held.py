"""Strangers who only connect take few files of the daemon, also in a handshake of TLS."""

from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flowrunner.web.connection import ServerLimits
from flowrunner.web.held import TURNED_AWAY, Door, Listener
from flowrunner.web.server import HttpServer
from flowrunner.web.sockets import bind_tcp, bind_unix
from flowrunner.web.tls import Tls
from tests.unit.web.apps import public_app
from tests.unit.web.serving import connect, get, serve, talk

MOST = 2 + TURNED_AWAY
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def silent(server: HttpServer, count: int) -> list[Connection]:
    """Returns connections that say nothing."""
    return [await connect(server) for _ in range(count)]


async def cut(connections: list[Connection]) -> None:
    """Waits until all are closed by the server."""
    for reader, writer in connections:
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_connections_beyond_the_bound_are_cut_at_once(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those before them are answered 503; the log tells it once; room is when others have gone."""

    async def work(server: HttpServer) -> None:
        held = await silent(server, 2)
        for _ in range(3):
            assert (await talk(server, get("/livez"))).startswith(b"HTTP/1.1 503")
            assert (await talk(server, b"no HTTP\r\n\r\n")).startswith(b"HTTP/1.1 400")
        held += await silent(server, MOST)
        await cut(await silent(server, 20))
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(20):
            served = b""
            while not served.startswith(b"HTTP/1.1 200"):  # until it knows that they have gone
                served = await talk(server, get("/livez"))

    bound = bind_tcp("127.0.0.1", 0) if kind == "tcp" else bind_unix(tmp_path / "s")
    serve(public_app(), work, limits=ServerLimits(max_connections=2), bound=bound)
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert told == ["http.too_many_connections most=2"]


def test_each_connection_is_counted_until_it_is_over() -> None:
    """One that is closed twice counts once, and one that nobody closes counts no more, too."""
    door = Door(1, 1)
    with bind_tcp("127.0.0.1", 0) as bound, Listener(bound.family, bound.type) as client:
        bound.door = door
        client.connect(bound.getsockname())
        held, _ = bound.accept()
        assert door.enter("") is None
        held.close()
        held.close()
        assert door.enter("") is not None
        assert door.enter("") is None
        door.leave(None)
        with Listener(bound.family, bound.type) as second:
            second.connect(bound.getsockname())
            held, _ = bound.accept()
            assert door.enter("") is None
            number = held.detach()
            del held
            assert door.enter("") is not None
            Listener(fileno=number).close()


def test_one_source_leaves_places_for_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It has half of them at most, which the log tells once; who is not counted has all."""
    door = Door(10, 12, {"a1": "a", "a2": "a", "b": "b"}.get)

    places = [door.enter(host) for host in ("a1", "a2", "a1", "a2", "a1")]
    assert None not in places
    assert [door.enter("a2"), door.enter("a1")] == [None, None]
    assert door.enter("b") is not None
    assert door.enter("other") is not None
    door.leave("a")
    assert door.enter("a1") is not None
    assert door.enter("a1") is None
    assert [door.enter("other") is not None for _ in range(6)] == [True] * 5 + [False]
    assert caplog.messages == [
        "http.too_many_connections source=a most=5",
        "http.too_many_connections most=10",
    ]


def test_source_that_fills_its_half_keeps_nobody_out() -> None:
    """Silent connections of one address are cut beyond its half; another address is served."""

    async def connect_from(port: int, host: str) -> Connection:
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))

    async def main() -> None:
        limits = ServerLimits(max_connections=4)
        bound = bind_tcp("127.0.0.1", 0)
        server = HttpServer(public_app(), [bound], limits, source_of=str)
        await server.start()
        port = bound.getsockname()[1]
        held = [await connect_from(port, "127.0.0.2") for _ in range(2)]
        await cut([await connect_from(port, "127.0.0.2") for _ in range(5)])
        reader, writer = await connect_from(port, "127.0.0.3")
        writer.write(get("/livez"))
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        for _, other in (*held, (reader, writer)):
            other.close()
        await server.stop()

    asyncio.run(main())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("is_patient", [True, False])
def test_handshake_of_tls_has_the_deadline_and_the_bound_of_connections(
    tmp_path: Path, *, is_patient: bool
) -> None:
    """Who connects and does not go on is cut off as soon as one without TLS, and is counted."""
    limits = ServerLimits(max_connections=2, head_timeout_s=60 if is_patient else 0.05)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert),
        ),
        check=True,
        capture_output=True,
    )

    async def main() -> None:
        server = HttpServer(public_app(), [bind_tcp("127.0.0.1", 0)], limits, Tls(cert, key))
        await server.start()
        assert urlsplit(server.bound).scheme == "https"
        async with asyncio.timeout(20):  # asyncio's own deadline is a minute
            held = await silent(server, MOST)
            await cut(await silent(server, 5) if is_patient else held)
        for _, writer in held:
            writer.close()
        await server.stop()

    asyncio.run(main())
