"""Drives an ASGI application in process: one request in, its whole answer out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

DEFAULT_HOST = "127.0.0.1:8080"
DEFAULT_PEER = ("127.0.0.1", 51514)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request.

    Attributes:
        target: Path and query string, as on the request line.
        headers: Pairs, so that a name can be given twice. `Host` is added when there is none.
        chunks: The body in the pieces in which it arrives.
        leaves: The client goes away instead of sending the last of the body.
    """

    method: str
    target: str
    headers: Iterable[tuple[str, str]] = ()
    chunks: tuple[bytes, ...] = ()
    peer: tuple[str, int] | None = DEFAULT_PEER
    leaves: bool = False

    def scope(self) -> Scope:
        path, _, query = self.target.partition("?")
        headers = list(self.headers)
        if not any(name.lower() == "host" for name, _ in headers):
            headers.insert(0, ("host", DEFAULT_HOST))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
            "client": self.peer,
            "server": ("127.0.0.1", 8080),
        }


@dataclass
class _Exchange:
    """Plays the server for one request; `unread` is what the application did not take."""

    unread: list[Message]
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        if self.unread:
            return self.unread.pop(0)
        await asyncio.Event().wait()  # a client that waits for its answer
        raise AssertionError("unreachable")

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def _messages(call: Call) -> list[Message]:
    chunks = call.chunks or (b"",)
    messages: list[Message] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    if call.leaves:
        return [*messages, {"type": "http.disconnect"}]
    messages[-1]["more_body"] = False
    return messages


async def exchange(app: ASGIApp, call: Call) -> tuple[list[Message], list[Message]]:
    """Returns what the application sent, and what of the request it left unread."""
    going = _Exchange(_messages(call))
    await app(call.scope(), going.receive, going.send)
    return going.sent, going.unread


async def answer(app: ASGIApp, call: Call) -> Answer:
    """Returns the answer to a request."""
    sent, _ = await exchange(app, call)
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert parts
    assert not parts[-1].get("more_body", False)
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
    ]
    assert len(dict(headers)) == len(headers), "a header was sent twice"
    return Answer(
        status=start["status"],
        headers=dict(headers),
        body=b"".join(part.get("body", b"") for part in parts),
    )


def ask(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    peer: tuple[str, int] | None = DEFAULT_PEER,
) -> Answer:
    """Sends one request on a loop of its own."""
    call = Call(
        method=method,
        target=target,
        headers=tuple((headers or {}).items()),
        chunks=(body,),
        peer=peer,
    )
    return asyncio.run(answer(app, call))
