"""The server on real sockets: starts, serves, bounds its clients, stops."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from flowrunner.errors import FlowError
from flowrunner.system.peers import local_peers
from flowrunner.web.app import make_control_app
from flowrunner.web.connection import ServerLimits
from flowrunner.web.responses import json_response, text_response
from flowrunner.web.server import HttpServer
from flowrunner.web.sockets import bind_tcp, bind_unix
from tests.unit.web.apps import make_parts, public_app
from tests.unit.web.serving import CLIENT_LIMITS, connect, get, read_whole, serve, talk

SOON = ServerLimits(head_timeout_s=0.05, body_timeout_s=0.05)


async def show_client(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what the server knows of its client."""
    await json_response(scope["client"])(scope, receive, send)


def test_server_answers_on_its_address() -> None:
    """Once started, requests on the address it tells are answered."""
    got = serve(public_app(), lambda server: talk(server, get("/livez")))

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.endswith(b"\r\n\r\nok\n")


def test_server_does_not_name_its_software() -> None:
    """No header tells what serves."""
    assert b"uvicorn" not in serve(public_app(), lambda server: talk(server, get("/livez")))


def test_answers_tell_the_time_from_the_first_on() -> None:
    """The date is there and is that of a clock which began with the server."""
    began = int(time.time())
    got = serve(public_app(), lambda server: talk(server, get("/livez")))
    (line,) = [each for each in got.split(b"\r\n") if each.startswith(b"date: ")]
    told = parsedate_to_datetime(line.decode().removeprefix("date: ")).timestamp()
    assert began <= told <= time.time()


def test_head_has_no_body_on_the_wire() -> None:
    """HEAD announces the length of GET and sends nothing of it."""
    request = get("/livez").replace(b"GET", b"HEAD")

    got = serve(public_app(), lambda server: talk(server, request))

    assert b"content-length: 3\r\n" in got
    assert got.endswith(b"\r\n\r\n")


def test_logs_as_text_are_streamed() -> None:
    """A text of unknown length arrives whole."""
    target = "/api/v1/executions/00000000-0000-7000-8000-000000000001/logs"
    request = get(target).replace(b"Connection", b"Accept: text/plain\r\nConnection")

    got = serve(public_app(local="open"), lambda server: talk(server, request))

    assert b"stdout hello\n" in got
    assert b"stdout bye\n" in got
    assert got.endswith(b"0\r\n\r\n")


def test_signals_stay_with_the_daemon() -> None:
    """The server installs no handler of its own."""

    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        server = HttpServer(public_app(), [bind_tcp("127.0.0.1", 0)], CLIENT_LIMITS)
        await server.start()
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        await server.stop()

    asyncio.run(main())


def test_forwarded_address_is_not_believed() -> None:
    """Who connects is who connects, whatever `X-Forwarded-For` says."""
    request = get("/").replace(b"Connection", b"X-Forwarded-For: 203.0.113.9\r\nConnection")

    assert b'"127.0.0.1"' in serve(show_client, lambda server: talk(server, request))


def test_unix_peer_is_named(tmp_path: Path) -> None:
    """On a unix socket the client is the user and process at its other end."""
    bound = bind_unix(tmp_path / "s")

    got = serve(show_client, lambda server: talk(server, get("/")), bound=bound)

    assert got.endswith(f'["uid:{os.getuid()}",{os.getpid()}]'.encode())


def test_attempt_cannot_command_through_the_real_socket(tmp_path: Path) -> None:
    """A child of the daemon is refused on the control socket, while others are served."""
    path = tmp_path / "s"
    app = make_control_app(make_parts(), is_attempt=local_peers().is_attempt)
    script = (
        "import sys, socket; client = socket.socket(socket.AF_UNIX); client.connect(sys.argv[1]);"
        f"client.sendall({get('/control/v1/status')!r}); print(client.recv(12).decode())"
    )

    async def work(server: HttpServer) -> tuple[bytes, bytes]:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-Ic", script, str(path), stdout=asyncio.subprocess.PIPE
        )
        from_child, _ = await child.communicate()
        return from_child, await talk(server, get("/control/v1/status"))

    from_child, own = serve(app, work, bound=bind_unix(path))

    assert from_child == b"HTTP/1.1 403\n"
    assert own.startswith(b"HTTP/1.1 200")


def test_stop_removes_the_unix_socket(tmp_path: Path) -> None:
    """After a stop there is no file to connect to."""
    path = tmp_path / "s"

    async def address(server: HttpServer) -> str:
        return server.bound

    assert serve(public_app(), address, bound=bind_unix(path)) == f"unix:{path}"
    assert not path.exists()


def test_stop_frees_the_port() -> None:
    """After a stop the port can be bound again."""

    async def port(server: HttpServer) -> int:
        return urlsplit(server.bound).port or 0

    bind_tcp("127.0.0.1", serve(public_app(), port)).close()


def test_server_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    """A stop without a start closes the sockets and removes their files."""
    path = tmp_path / "s"
    bound = bind_unix(path)

    asyncio.run(HttpServer(public_app(), [bound], CLIENT_LIMITS).stop())

    assert bound.fileno() == -1
    assert not path.exists()


def test_server_that_cannot_start_says_so(tmp_path: Path) -> None:
    """A socket that cannot be listened on is an error of the start, and the stop is quiet."""
    bound = bind_unix(tmp_path / "s")

    async def main() -> str:
        server = HttpServer(public_app(), [bound], CLIENT_LIMITS)
        bound.close()
        with pytest.raises(FlowError) as caught:
            await server.start()
        return caught.value.code

    assert asyncio.run(main()) == "bind_failed"


def test_stop_lets_an_answer_under_way_finish() -> None:
    """A request that is being answered when the stop comes gets its answer."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await release.wait()
        await text_response("done")(scope, receive, send)

    async def main() -> bytes:
        server = HttpServer(slow, [bind_tcp("127.0.0.1", 0)], CLIENT_LIMITS)
        await server.start()
        answer = asyncio.create_task(talk(server, get("/")))
        await entered.wait()
        stopping = asyncio.create_task(server.stop())
        release.set()
        await stopping
        return await answer

    assert asyncio.run(main()).endswith(b"done")


def test_stop_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """An answer that does not end is cut off when the time for the stop is over."""
    entered = asyncio.Event()

    async def stuck(_scope: Scope, _receive: Receive, _send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    async def main() -> None:
        limits = ServerLimits(stop_timeout_s=0)
        server = HttpServer(stuck, [bind_tcp("127.0.0.1", 0)], limits)
        await server.start()
        answer = asyncio.create_task(talk(server, get("/")))
        await entered.wait()
        await server.stop()
        await answer

    asyncio.run(main())

    assert "timeout graceful shutdown exceeded" in caplog.text


def test_connections_over_the_limit_are_refused() -> None:
    """As many connections as the limit says are served, the next one gets 503."""

    async def work(server: HttpServer) -> tuple[bytes, bytes, bytes]:
        reader, writer = await connect(server)
        writer.write(get("/livez", close=False))
        first = await reader.readline()
        refused = await talk(server, get("/livez"))
        writer.close()
        await writer.wait_closed()
        served = await talk(server, get("/livez"))
        return first, refused, served

    first, refused, served = serve(public_app(), work, limits=ServerLimits(max_connections=1))

    assert first.startswith(b"HTTP/1.1 200")
    assert refused.startswith(b"HTTP/1.1 503")
    assert served.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"GET /livez HTTP/1.1\r\n",),
        (b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", b"abc"),
        (b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na"),
    ],
    ids=["nothing", "half-a-head", "half-a-body", "half-a-chunk"],
)
def test_request_that_does_not_arrive_is_cut_off(pieces: tuple[bytes, ...]) -> None:
    """A client that does not send its request in time loses its connection."""
    assert serve(read_whole, lambda server: talk(server, *pieces), limits=SOON) == b""


def test_later_request_that_does_not_arrive_is_cut_off() -> None:
    """The deadline is there for every request of a connection, not just for the first."""

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        writer.write(get("/livez", close=False))
        await reader.readuntil(b"ok\n")
        writer.write(b"GET /livez HTTP/1.1\r\n")
        rest = await reader.read()
        writer.close()
        return rest

    assert serve(public_app(), work, limits=SOON) == b""


def test_deadline_is_not_put_off_by_trickling() -> None:
    """A byte now and then does not keep a connection open."""

    async def work(server: HttpServer) -> None:
        reader, writer = await connect(server)
        cut = asyncio.create_task(reader.read())
        while not cut.done():
            writer.write(b"G")
            await asyncio.wait((cut,), timeout=0.01)
        writer.close()

    serve(public_app(), work, limits=SOON)


def test_slow_answer_is_not_cut_off() -> None:
    """The deadlines are for what the client sends; an answer may take longer."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await release.wait()
        await read_whole(scope, receive, send)

    async def work(server: HttpServer) -> bytes:
        answer = asyncio.create_task(talk(server, get("/")))
        await entered.wait()
        await talk(server)  # returns when a deadline that began later is over
        release.set()
        return await answer

    assert serve(slow, work, limits=SOON).startswith(b"HTTP/1.1 200")


def test_idle_connection_takes_the_next_request() -> None:
    """After an answer a connection takes further requests."""

    async def work(server: HttpServer) -> list[bytes]:
        reader, writer = await connect(server)
        statuses = []
        for _ in range(2):
            writer.write(get("/livez", close=False))
            head = await reader.readuntil(b"\r\n\r\n")
            statuses.append(head[:12])
            await reader.readexactly(3)
        writer.close()
        return statuses

    assert serve(public_app(), work) == [b"HTTP/1.1 200"] * 2


def test_idle_connection_is_closed() -> None:
    """A connection on which nothing follows is closed when its time is over."""
    request = get("/livez", close=False)

    got = serve(public_app(), lambda s: talk(s, request), limits=ServerLimits(keep_alive_s=0))

    assert got.endswith(b"ok\n")


def test_connection_of_deliveries_is_closed_once_it_is_idle() -> None:
    """One that has taken several deliveries is closed all the same when nothing follows."""
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"

    async def work(server: HttpServer) -> bytes:
        reader, writer = await connect(server)
        for _ in range(2):
            writer.write(request)
            assert (await reader.readuntil(b"\r\n\r\n2")).startswith(b"HTTP/1.1 200")
        rest = await reader.read()
        writer.close()
        return rest

    assert serve(read_whole, work, limits=ServerLimits(keep_alive_s=1)) == b""


def test_upgrade_is_answered_in_http(caplog: pytest.LogCaptureFixture) -> None:
    """A wish for websockets is passed over without a word in the log."""
    request = get("/livez").replace(b"close", b"upgrade, close\r\nUpgrade: websocket")

    got = serve(public_app(), lambda server: talk(server, request))

    assert got.startswith(b"HTTP/1.1 200")
    assert "WebSocket" not in caplog.text
