"""The answer to a plain request: what uvicorn makes of one, without a parser's states.

All that a client could be waited for is there when the request begins, so only the answer has a
course: its head waits for its body, and both leave in one piece. The names of what others look at
are those of uvicorn's own cycle, for which this one stands in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from flowrunner.web.plain_requests import PlainRequest

_LOG = logging.getLogger(__name__)
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_CLOSE = b"Connection: close\r\n"

Fields = Iterable[tuple[bytes, bytes]]


class Flow(Protocol):
    """Whether the client takes what is written."""

    write_paused: bool

    async def drain(self) -> None:
        """Waits until it does."""


class Line(Protocol):
    """The connection."""

    def write_now(self, data: bytes) -> None:
        """Sends bytes."""

    def close(self) -> None:
        """Closes once what is written has been sent."""


class PlainCycle:
    """One request whose body is there, and its answer.

    Args:
        request: The request.
        peers: `server`, `client` and `scheme` of the connection, as ASGI has them.
        line: Where the answer goes.
        flow: When it may.
        common: Fields of every answer.
        answered: Called when the answer is complete.
        ended: Called with the task when nothing of the request is left to do.
    """

    more_body = False

    def __init__(
        self,
        request: PlainRequest,
        peers: Mapping[str, Any],
        *,
        line: Line,
        flow: Flow,
        common: Fields,
        answered: Callable[[], None],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self.keep_alive = not request.closes
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self._event: asyncio.Event | None = None
        self._scope = _scope(request, peers)
        self._body: bytes | None = request.body
        self._line = line
        self._flow = flow
        self._common = common
        self._answered = answered
        self._ended = ended
        self._head = b""
        self._left: int | None = None

    @property
    def message_event(self) -> asyncio.Event:
        """What wakes whoever waits for the client to leave; most requests are over before."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def begin(self, loop: asyncio.AbstractEventLoop, app: ASGIApp) -> asyncio.Task[None]:
        """Has the application answer in a task, and returns that."""
        self._task = loop.create_task(self._run(app))
        return self._task

    async def _run(self, app: ASGIApp) -> None:
        """Has the application answer; what it raises, or leaves out, is answered 500 or cut."""
        try:
            await app(self._scope, self._receive, self._send)
        except BaseException:  # noqa: BLE001 - as uvicorn: also one that is cancelled at a stop
            _LOG.exception("http.unanswered")
        try:
            if not (self.disconnected or self.response_complete):
                await self._give_up()
        finally:
            self._ended(self._task)  # a callback of the task would take a turn of the loop

    async def _give_up(self) -> None:
        if self.response_started:
            self._line.close()
        else:
            await self._tell_failure()

    async def _tell_failure(self) -> None:
        text = b"Internal Server Error"
        fields = [(b"content-type", b"text/plain; charset=utf-8")]
        fields += [(b"content-length", b"%d" % len(text))]
        self.keep_alive = False
        await self._send({"type": "http.response.start", "status": 500, "headers": fields})
        await self._send({"type": "http.response.body", "body": text})

    async def _receive(self) -> Message:
        """Hands over the body, then waits for the client to leave."""
        body, self._body = self._body, None
        if body is not None and not self.disconnected:
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.disconnected and not self.response_complete:
            await self.message_event.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        wanted = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != wanted or self.response_complete:
            raise RuntimeError(f"{message['type']} is not due")
        if not self.response_started:
            self._begin(message)
        else:
            self._go_on(message.get("body", b""), is_last=not message.get("more_body", False))

    def _begin(self, message: Message) -> None:
        """Writes the head; without a length the end of the connection ends the answer."""
        fields = [*self._common, *message.get("headers", ())]
        for name, value in fields:
            if name == b"content-length":
                self._left = int(value)
        self.keep_alive = self.keep_alive and self._left is not None
        status = message["status"]
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, b""))]
        lines += [b"%b: %b\r\n" % field for field in fields]
        head = b"".join(lines)
        if not head.count(b"\n") == head.count(b"\r") == len(lines):
            raise RuntimeError("a field of the answer has the end of a line in it")
        self._head = head + (b"\r\n" if self.keep_alive else _CLOSE + b"\r\n")
        self.response_started = True

    def _go_on(self, body: bytes, *, is_last: bool) -> None:
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("the answer has another length than its head says")
        data, self._head = self._head + body, b""
        self._line.write_now(data)
        if is_last:
            self.response_complete = True
            if self._event is not None:
                self._event.set()
            if not self.keep_alive:
                self._line.close()
            self._answered()


def _scope(request: PlainRequest, peers: Mapping[str, Any]) -> Scope:
    """Returns a request as ASGI has it."""
    raw_path, _, query = request.target.partition(b"?")
    path = raw_path.decode("ascii")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "root_path": "",
        "path": unquote(path) if "%" in path else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": request.headers,
        "state": {},
        **peers,
    }
