"""The HTTP server: the one door to uvicorn, with `connection.py`, and what it lacks.

uvicorn has no limit for the time a handshake takes, nor for connections that ask nothing, and takes
the signals for itself. That is settled here. Source: operations.md, section 4, rows 28 to 30.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence

from starlette.types import ASGIApp
from uvicorn.server import Server

from flowrunner.errors import FlowError
from flowrunner.web.connection import Connection, ServerConfig, ServerLimits
from flowrunner.web.held import TURNED_AWAY, Door, Listener, SourceOf
from flowrunner.web.sockets import address_of, remove_unix
from flowrunner.web.tls import Tls
from flowrunner.web.unread import Kind, Unread

_LOG = logging.getLogger(__name__)
_DATE_PERIOD_S = 1.0
"""How long the `Date` of answers may be old: it tells whole seconds."""


class HttpServer:
    """Serves an application on sockets that listen already; started once, stopped once.

    Args:
        app: The application.
        sockets: Closed by `stop`, which also removes the files of unix sockets.
        limits: What clients may take.
        tls: The certificate; None for HTTP without TLS.
        source_of: Under what the connections of a peer are counted.
        count_unread: Counts a request that no link of the chain sees.
    """

    def __init__(
        self,
        app: ASGIApp,
        sockets: Sequence[Listener],
        limits: ServerLimits,
        tls: Tls | None = None,
        source_of: SourceOf | None = None,
        count_unread: Callable[[Kind], None] = lambda _: None,
    ) -> None:
        self._sockets = list(sockets)
        door = Door(limits.max_connections, limits.max_connections + TURNED_AWAY, source_of)
        for bound in sockets:
            bound.door = door
        self._bound = " ".join(address_of(bound, tls=tls is not None) for bound in sockets)
        self._unread = Unread(count_unread)
        self._server = _Server(ServerConfig(app, limits, tls, self._unread))
        self._serving: asyncio.Task[None] | None = None

    @property
    def bound(self) -> str:
        """Where it listens, for people: `http://127.0.0.1:8080`, `unix:/run/control.sock`."""
        return self._bound

    async def start(self) -> None:
        """Returns once requests are answered.

        Raises:
            FlowError: ``bind_failed``: the sockets cannot be listened on.
        """
        self._serving = asyncio.create_task(
            self._server.serve(sockets=[*self._sockets]), name=f"http {self._bound}"
        )
        begun = asyncio.create_task(self._server.begun.wait(), name="http begun")
        await asyncio.wait((self._serving, begun), return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if not self._server.begun.is_set():
            reason, self._serving = self._serving.exception(), None
            raise FlowError(f"cannot serve {self._bound}: {reason}", code="bind_failed") from reason

    async def stop(self) -> None:
        """Takes no more connections, waits a while for answers under way, closes the rest."""
        for bound in self._sockets:
            remove_unix(bound)
        self._server.end()
        if self._serving is not None:
            await asyncio.wait((self._serving,))
            if not self._serving.cancelled() and self._serving.exception() is not None:
                _LOG.error("http.server_failed", exc_info=self._serving.exception())
        self._unread.close()
        for bound in self._sockets:
            bound.close()


class _Server(Server):
    """Leaves the signals to the daemon and says when it has begun."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()
        self._ending = asyncio.Event()
        self.servers: list[asyncio.base_events.Server] = []
        self._settings = config

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield

    def end(self) -> None:
        """Lets it take no more connections and come to its end."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Renews the date of answers until it is to end; uvicorn would look ten times as often."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_PERIOD_S):
                    await self._ending.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to answer, then says so; unlike uvicorn with a deadline for handshakes of TLS."""
        loop, config = asyncio.get_running_loop(), self._settings
        for bound in sockets or ():
            server = await loop.create_server(
                lambda: Connection(config, self.server_state, {}),
                sock=bound,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=config.limits.head_timeout_s if config.ssl else None,
            )
            self.servers.append(server)
        self.started = True
        self.begun.set()
