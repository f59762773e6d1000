"""Health: whether the loop turns, whether the daemon can do its work, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.service.views import HealthCheck
from flowrunner.web.accept import preferred
from flowrunner.web.context import origin_of
from flowrunner.web.responses import JSON_TYPE, TEXT_TYPE, json_response, text_response
from flowrunner.web.wire import health_json

_OF_THIS_MACHINE = frozenset({"channels"})
"""Checks whose message callers from elsewhere do not get, as they need no token here: it names the
channels of all accounts, and hosts out of addresses that are secrets."""


class KnowsReadiness(Protocol):
    """The part of the service behind these addresses."""

    async def readiness(self) -> Sequence[HealthCheck]:
        """Returns every check."""


class HealthRoutes:
    """`/livez`, `/readyz`, `/healthz`."""

    def __init__(self, service: KnowsReadiness) -> None:
        self._service = service

    async def livez(self, _request: Request) -> Response:
        """Answers: that it does is the whole message."""
        return text_response("ok\n")

    async def readyz(self, request: Request) -> Response:
        """Answers 200 when every check is ok, else 503 with the reasons, as text or JSON."""
        checks = await self._checks(request)
        failed = [check for check in checks if check.status != "ok"]
        status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
        accept = request.headers.get("accept", "")
        if preferred(accept, (TEXT_TYPE, JSON_TYPE)) == JSON_TYPE:
            return json_response(health_json(checks), status=status)
        reasons = "".join(f"{check.name}: {check.message}\n" for check in failed)
        return text_response(f"not ready\n{reasons}" if failed else "ready\n", status=status)

    async def healthz(self, request: Request) -> Response:
        """Answers 200 as `/livez` does, with every check as JSON."""
        return json_response(health_json(await self._checks(request)))

    async def _checks(self, request: Request) -> Sequence[HealthCheck]:
        checks = await self._service.readiness()
        if origin_of(request.scope).is_local:
            return checks
        return [
            replace(check, message="") if check.name in _OF_THIS_MACHINE else check
            for check in checks
        ]
