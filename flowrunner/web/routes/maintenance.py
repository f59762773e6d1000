"""The commands that let no schedule start anything, and that end it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.web.body import read_object
from flowrunner.web.context import unix_peer_of
from flowrunner.web.pause_body import pause_of
from flowrunner.web.responses import json_response


class PausesSchedules(Protocol):
    """The part of the pauses behind these addresses; see `flowrunner.triggers.pauses`."""

    async def pause_schedules(
        self, *, reason: str, until: datetime | None, uid: int | None
    ) -> None:
        """Lets no schedule start anything."""

    async def resume_schedules(self) -> None:
        """Ends that."""


class MaintenanceRoutes:
    """`/control/v1/schedules/pause` and `resume`."""

    def __init__(self, pauses: PausesSchedules) -> None:
        self._pauses = pauses

    async def pause(self, request: Request) -> Response:
        """Pauses all schedules with `{reason, until}`; answers once that is durable."""
        reason, until = pause_of(await read_object(request))
        peer = unix_peer_of(request.scope)
        uid = None if peer is None else peer.uid
        await self._pauses.pause_schedules(reason=reason, until=until, uid=uid)
        return json_response({"paused": True})

    async def resume(self, _request: Request) -> Response:
        """Ends that pause; answers once that is durable."""
        await self._pauses.resume_schedules()
        return json_response({"paused": False})
