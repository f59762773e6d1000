"""The rate limit: no source off this machine takes the daemon's time from the others.

It comes before anything is read or looked up. Callers on this machine are not counted: they could
take its time without us.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.web.callers import Access, too_many
from flowrunner.web.context import origin_of


class RateLimit:
    """Refuses what comes too often.

    Args:
        access: The rules, and how often each source came.
    """

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on; raises `HttpError` (``http.rate``)."""
        buckets = self._access.requests
        if scope["type"] == "http" and buckets is not None:
            origin = origin_of(scope)
            wait_s = 0 if origin.is_local else buckets.take(origin.source)
            if wait_s:
                self._access.counts.access_refused("rate")
                raise too_many("too many requests from this address (server.rate_limit)", wait_s)
        return self._app(scope, receive, send)
