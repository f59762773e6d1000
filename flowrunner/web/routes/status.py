"""The daemon at a glance."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.service.views import StatusView
from flowrunner.web.context import is_restricted
from flowrunner.web.responses import json_response
from flowrunner.web.status_wire import status_json


class KnowsStatus(Protocol):
    """The part of the service behind this address."""

    async def status(self) -> StatusView:
        """Returns the daemon at a glance."""


class StatusRoute:
    """`/api/v1/status`, and the same for commands at `/control/v1/status`."""

    def __init__(self, service: KnowsStatus) -> None:
        self._service = service

    async def state(self, request: Request) -> Response:
        """Answers with it, whatever its checks say."""
        redacted = is_restricted(request.scope)
        return json_response(status_json(await self._service.status(), redacted=redacted))
