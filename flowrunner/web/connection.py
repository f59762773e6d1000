"""A connection of HTTP/1: what uvicorn's lacks, and how uvicorn is set.

uvicorn has no limit for the time a request takes to arrive, closes with unread bytes, does not know
who is at the other end of a unix socket, and believes in `X-Forwarded-For`. All of it is settled
here. Source: operations.md, section 4, rows 28 to 30.
"""

from __future__ import annotations

import asyncio
import sys
from enum import Enum
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from flowrunner.dataclass import dataclass
from flowrunner.web.context import peer_text
from flowrunner.web.lingering import LINGER_S, LingeringTransport
from flowrunner.web.middleware.head_limit import HEAD_BYTES
from flowrunner.web.plain_cycle import PlainCycle
from flowrunner.web.plain_requests import PlainRequest, read_plain
from flowrunner.web.sockets import unix_peer
from flowrunner.web.tls import Tls
from flowrunner.web.unread import Unread, refusal_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """How much, and for how long, a server puts up with its clients; times in seconds.

    Attributes:
        max_connections: Requests on some further connections are answered 503; those beyond
            them are cut.
        head_timeout_s: From a connection, or the first byte of a later request, to the end of
            the request's head; before it as long for a handshake of TLS.
        body_timeout_s: From there to the end of its body.
        keep_alive_s: How long an idle connection is kept after an answer.
        linger_s: How long a connection that is closed drops what its client still sends.
        stop_timeout_s: How long a stop waits for answers under way.
    """

    max_connections: int = 256
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    keep_alive_s: int = 5
    linger_s: float = LINGER_S
    stop_timeout_s: int = 10


class ServerConfig(Config):
    """uvicorn's settings, each that matters said; it reads nothing from the environment."""

    def __init__(self, app: ASGIApp, limits: ServerLimits, tls: Tls | None, unread: Unread) -> None:
        super().__init__(
            app,
            http=Connection,
            interface="asgi3",
            loop="none",
            lifespan="off",
            ws="none",
            workers=1,
            access_log=False,
            log_config=None,
            log_level="error",  # it warns of each request that is malformed or too many
            proxy_headers=False,
            forwarded_allow_ips=[],
            server_header=False,
            # uvicorn refuses the connection that reaches the limit, not the first beyond it.
            limit_concurrency=limits.max_connections + 1,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=limits.keep_alive_s,
            timeout_graceful_shutdown=limits.stop_timeout_s,
        )
        self.limits = limits
        self.unread = unread
        self._tls = tls

    def load(self) -> None:
        """Gets ready, with a context of ours for TLS."""
        super().load()
        self.ssl = None if self._tls is None else self._tls.context


class _Phase(Enum):
    """What a connection waits for."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"


class Connection(H11Protocol):
    """One connection, with deadlines for what the client sends, and with the unix peer's name.

    A deadline belongs to one phase of one request and is not put off by further bytes, or a
    client could hold a connection for ever with a byte now and then.
    """

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._unread = config.unread
        self._waits_for: tuple[_Phase, RequestResponseCycle | None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False
        self._idle = self.conn.our_state  # as it is between requests
        self._is_parsed = False
        self._idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Notes who connects and starts the clock."""
        self._lingering = LingeringTransport(
            transport, self.loop, self._has_unread, self._limits.linger_s
        )
        super().connection_made(self._lingering)
        self.client = unix_peer(transport.get_extra_info("socket")) or self.client
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Takes bytes; the deadline changes only with what they complete."""
        if self._lingering.is_lingering:
            self._lingering.drop(len(data))
            return
        plain = read_plain(data) if self._is_at_rest() else None
        if plain is not None:
            self._begin(plain)
            return
        self._is_parsed = True
        if isinstance(self.cycle, PlainCycle) and not self.cycle.response_complete:
            self.conn.receive_data(data)  # of the next request, whose turn comes with the answer
            self.flow.pause_reading()
        else:
            super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Waits for the next request, or goes on with what has come behind a plain one.

        A timer for each answer would cost a busy connection more than one that looks again.
        """
        self._idle_since = self.loop.time()
        if not isinstance(self.cycle, PlainCycle):
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.timeout_keep_alive_task is None:
            self._close_after(self.timeout_keep_alive)
        self.flow.resume_reading()
        if self._has_more():
            self.handle_events()

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that has been idle for as long as may be, and no other."""
        self.timeout_keep_alive_task = None
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._close_after(left_s)
        else:
            super().timeout_keep_alive_handler()

    def _close_after(self, seconds: float) -> None:
        """Looks after some seconds whether the connection is still idle."""
        handler = self.timeout_keep_alive_handler
        self.timeout_keep_alive_task = self.loop.call_later(seconds, handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        super().connection_lost(exc)
        self._lingering.stop()
        if self._deadline is not None:
            self._deadline.cancel()

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be read, and lets nobody wait for the rest of it.

        An answer that has begun cannot be another one any more: it is cut off.
        """
        error = sys.exception()  # uvicorn calls this where it has caught the error
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self._is_refused = True
        refusal = refusal_of(getattr(error, "error_status_hint", 0), msg)
        self._unread.malformed(self._peer(), refusal[9:12].decode())
        self.transport.write(refusal)
        self.transport.close()

    def shutdown(self) -> None:
        """Closes when the answer under way is complete; does not linger."""
        if self._lingering.is_lingering:
            self.transport.close()
        else:
            super().shutdown()

    def _should_upgrade(self) -> bool:
        """Answers a wish for another protocol in HTTP, without a warning for each."""
        return False

    def _peer(self) -> str:
        return peer_text({"client": self.client})

    def _is_at_rest(self) -> bool:
        """Returns whether a request may begin here that uvicorn's parser need not see."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return False
        if self._is_parsed:
            is_idle = self.conn.our_state is self.conn.their_state is self._idle
            if not is_idle or self._has_more():
                return False
        return max(len(self.connections), len(self.tasks)) <= self._limits.max_connections

    def _has_more(self) -> bool:
        """Returns whether bytes wait in uvicorn's parser, which plain requests pass by."""
        return self._is_parsed and bool(self.conn.trailing_data[0])

    def _begin(self, request: PlainRequest) -> None:
        """Has a plain request answered, for which nothing of the client is waited."""
        self._waits_for = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        cycle = PlainCycle(
            request,
            {"server": self.server, "client": self.client, "scheme": self.scheme},
            line=self._lingering,
            flow=self.flow,
            common=self.server_state.default_headers,
            answered=self.on_response_complete,
            ended=self.tasks.discard,
        )
        self.cycle = cycle  # type: ignore[assignment]  # stands in for uvicorn's
        self.tasks.add(cycle.begin(self.loop, self.app))

    def _watch(self) -> None:
        waits_for = self._phase(), self.cycle
        if waits_for == self._waits_for:
            return
        self._waits_for = waits_for
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        timeouts = {
            _Phase.HEAD: self._limits.head_timeout_s,
            _Phase.BODY: self._limits.body_timeout_s,
        }
        timeout = timeouts.get(waits_for[0])
        if timeout is not None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(timeout, self._cut)

    def _cut(self) -> None:
        if self._lingering.is_lingering:  # which has a time of its own
            return
        if self._phase() is _Phase.HEAD and self._has_more():
            self._unread.too_slow(self._peer())  # one that has said nothing is no request
        self.transport.abort()

    def _has_unread(self) -> bool:
        """Returns whether the client still sends what nobody will read."""
        cycle: RequestResponseCycle | None = self.cycle
        is_cut = cycle is not None and cycle.more_body
        return self._is_refused or is_cut or self._has_more()

    def _phase(self) -> _Phase:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return _Phase.HEAD
        if cycle.more_body:
            return _Phase.BODY
        return _Phase.HEAD if cycle.response_complete else _Phase.ANSWER
