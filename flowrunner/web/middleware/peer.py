"""The peer check: what a flow started cannot command the daemon that runs it.

Whoever may commit a flow can run commands as the daemon's user, and that user may use the
control socket. Without this check every flow could start, cancel and read every other one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.errors import AuthError
from flowrunner.web.context import unix_peer_of

_REFUSAL = (
    "an attempt of a flow may not command the daemon; it is known by its parents, "
    "or by EXECUTION_ID, NODE_ID or ATTEMPT in its environment"
)


class PeerCheck:
    """Refuses requests of attempts, and of peers that the kernel does not name.

    Args:
        is_attempt: Tells whether a process (pid, uid) belongs to an attempt; may block.
    """

    def __init__(self, app: ASGIApp, *, is_attempt: Callable[[int, int], bool]) -> None:
        self._app = app
        self._is_attempt = is_attempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; raises `AuthError` (``auth.denied``)."""
        if scope["type"] == "http":
            peer = unix_peer_of(scope)
            if peer is None or await asyncio.to_thread(self._is_attempt, peer.pid, peer.uid):
                raise AuthError(_REFUSAL, code="auth.denied")
        await self._app(scope, receive, send)
