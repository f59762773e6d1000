"""A control socket that answers what a test has put down, and notes what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


@dataclass
class ControlServer:
    """Answers by method and path without its query; the last answer is given again."""

    path: Path
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    @property
    def option(self) -> list[str]:
        """The option that leads a command here."""
        return ["--socket", str(self.path)]

    def put(self, request: str, *documents: Any, status: int = 200) -> None:
        """Puts down the answers to `GET /path`, one after the other."""
        self.put_raw(request, *(json.dumps(it).encode() for it in documents), status=status)

    def put_raw(self, request: str, *bodies: bytes, status: int = 200) -> None:
        """Puts down answers as they are."""
        self.answers[request] = [(status, body) for body in bodies]

    def put_problem(self, request: str, status: int, code: str, **more: Any) -> None:
        """Puts down a problem document. Source: RFC 9457."""
        document = {"title": "T", "status": status, "detail": "it is so", "code": code, **more}
        self.put(request, document, status=status)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Notes a request and returns its answer."""
        self.asked.append(f"{method} {target}")
        if method == "POST":
            self.bodies.append(json.loads(body) if body else None)
        answers = self.answers.get(f"{method} {target.partition('?')[0]}")
        if answers is None:
            return 404, b'{"detail": "there is nothing at this address", "code": "not_found"}'
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def control_server(path: Path) -> Iterator[ControlServer]:
    """Serves on a unix socket until the test has ended."""
    server = ControlServer(path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = server.answer(method, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
