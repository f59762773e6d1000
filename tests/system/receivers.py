"""Receivers of notifications on loopback, for tests: HTTP and SMTP, which may be made to refuse."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Post:
    """A request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """What was taken, and what was refused.

    Attributes:
        is_open: Whether it takes anything.
        gate: Whether a mail is answered: it waits until this is set.
    """

    def __init__(self) -> None:
        self.is_open = True
        self.gate = threading.Event()
        self.gate.set()
        self.port = 0
        self.taken: list[Any] = []
        self.refused: list[Any] = []

    def keep(self, what: Any) -> bool:
        (self.taken if self.is_open else self.refused).append(what)
        return self.is_open


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """Takes posts; what is closed answers 503."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_taken = receiver.keep(Post(self.path, headers, body))
            self.send_response(200 if is_taken else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler), receiver):
        yield receiver


@contextmanager
def smtp_receiver() -> Iterator[Receiver]:
    """Takes mails as (sender, receivers, text); what is closed answers 451 after the data."""
    receiver = Receiver()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 test")
            sender, to = "", []
            while line := self.rfile.readline().decode().strip():
                word = line.upper()
                if word.startswith("MAIL FROM:"):
                    sender = line[10:].split()[0].strip("<>")
                elif word.startswith("RCPT TO:"):
                    to.append(line[8:].strip("<>"))
                elif word == "DATA":
                    self._say("354 go on")
                    is_taken = receiver.keep((sender, tuple(to), self._data()))
                    receiver.gate.wait(60)
                    self._say("250 taken" if is_taken else "451 not now")
                    continue
                elif word == "QUIT":
                    self._say("221 bye")
                    return
                self._say("250 fine")

        def _data(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
                lines.append(line.removeprefix("."))  # RFC 5321 section 4.5.2
            return "".join(lines)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler), receiver):
        yield receiver


@contextmanager
def _serving(server: socketserver.TCPServer, receiver: Receiver) -> Iterator[None]:
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        receiver.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
