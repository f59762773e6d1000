"""Starts the server on a real socket, and talks to it in bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.connection import ServerLimits
from flowrunner.web.held import Listener
from flowrunner.web.responses import text_response
from flowrunner.web.server import HttpServer
from flowrunner.web.sockets import bind_tcp

T = TypeVar("T")

CLIENT_LIMITS = ServerLimits()


async def read_whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and answers with its length."""
    body = await Request(scope, receive).body()
    await text_response(str(len(body)))(scope, receive, send)


def serve(
    app: ASGIApp,
    work: Callable[[HttpServer], Awaitable[T]],
    *,
    limits: ServerLimits = CLIENT_LIMITS,
    bound: Listener | None = None,
) -> T:
    """Starts a server, does the work against it, and stops it."""

    async def main() -> T:
        server = HttpServer(app, [bound or bind_tcp("127.0.0.1", 0)], limits)
        await server.start()
        try:
            return await work(server)
        finally:
            await server.stop()

    return asyncio.run(main())


async def connect(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(server.bound)
    if address.scheme == "unix":
        return await asyncio.open_unix_connection(address.path)
    return await asyncio.open_connection(address.hostname, address.port)


async def talk(server: HttpServer, *pieces: bytes) -> bytes:
    """Sends the pieces and returns all that comes back until the server closes."""
    reader, writer = await connect(server)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except (BrokenPipeError, ConnectionResetError):
        return b""
    finally:
        writer.close()


def get(target: str, *, close: bool = True) -> bytes:
    connection = "close" if close else "keep-alive"
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n".encode()
