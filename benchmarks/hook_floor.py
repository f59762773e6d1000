"""What an accepted delivery is made of, and nothing else: the comparison of row 5.

Usage: python benchmarks/hook_floor.py FOLDER

An ASGI application on the same server, with h11 for all requests. It reads the body, makes one HMAC
of it, and answers once a row is committed, together with all that wait. Prints its port.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import queue
import socket
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from uvicorn.config import Config
from uvicorn.server import Server

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


class Floor:
    """The application, and its one writer."""

    def __init__(self, file: Path) -> None:
        self._rows: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        self._file = file
        self._loop: asyncio.AbstractEventLoop | None = None
        threading.Thread(target=self._write, daemon=True).start()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answers 202 once the body is on disk."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        signature = dict(scope["headers"])[b"x-hub-signature-256"]
        digest = hmac.new(b"secret", body, hashlib.sha256).hexdigest().encode()
        hmac.compare_digest(signature, b"sha256=" + digest)
        self._loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = self._loop.create_future()
        self._rows.put((body, written))
        await written
        await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b"{}"})

    def _write(self) -> None:
        base = sqlite3.connect(self._file, isolation_level=None)
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("PRAGMA synchronous=FULL")
        base.execute("CREATE TABLE t (body BLOB)")
        while True:
            batch = [self._rows.get()]
            while not self._rows.empty():
                batch.append(self._rows.get())
            base.execute("BEGIN")
            base.executemany("INSERT INTO t VALUES (?)", [(body,) for body, _ in batch])
            base.execute("COMMIT")
            assert self._loop
            self._loop.call_soon_threadsafe(_settle, [written for _, written in batch])


def _settle(written: list[asyncio.Future[None]]) -> None:
    for each in written:
        each.set_result(None)


def main() -> None:
    """Serves until it is ended."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=128)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(bound.getsockname()[1], flush=True)
    app = Floor(Path(sys.argv[1]) / "floor.db")
    config = Config(app, http="h11", loop="asyncio", lifespan="off", ws="none", log_config=None)
    asyncio.run(Server(config).serve(sockets=[bound]))


if __name__ == "__main__":
    main()
