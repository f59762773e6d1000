"""Metrics for Prometheus, rendered in a thread: with many flows it takes a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.web.responses import COMMON_HEADERS


class MetricsRoute:
    """`/metrics`.

    Args:
        render: Writes all metrics in the format that an `Accept` header asks for; returns them
            with their content type. Called in a thread.
    """

    def __init__(self, render: Callable[[str], tuple[bytes, str]]) -> None:
        self._render = render

    async def scrape(self, request: Request) -> Response:
        """Answers with all metrics."""
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(self._render, accept)
        return Response(body, headers={**COMMON_HEADERS, "content-type": content_type})
