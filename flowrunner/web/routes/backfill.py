"""The command that has slots of the past executed."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.errors import ValidationError
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import FlowKey, Json
from flowrunner.web.body import read_object
from flowrunner.web.responses import json_response

MOST_PARALLEL = 100
_KEYS = frozenset({"from", "to", "trigger", "parallel", "force"})
_FIRST_YEAR, _LAST_YEAR = 1971, 9998


class CarriesBackfills(Protocol):
    """The part of the backfills behind this address; see `flowrunner.triggers.backfills`."""

    async def begin(
        self,
        key: FlowKey,
        *,
        trigger: str | None,
        first: datetime,
        until: datetime,
        parallel: int = 1,
        force: bool = False,
    ) -> tuple[str, int]:
        """Begins one; returns its id and how many slots it has."""

    async def cancel(self, key: FlowKey) -> int:
        """Ends those of a flow and returns how many."""


class BackfillRoutes:
    """`/control/v1/flows/{account}/{name}/backfill`."""

    def __init__(self, backfills: CarriesBackfills) -> None:
        self._backfills = backfills

    async def begin(self, request: Request) -> Response:
        """Begins a backfill with `{from, to, trigger, parallel, force}`; 202 once it is durable."""
        content = await read_object(request)
        _require(not set(content) - _KEYS, "only from, to, trigger, parallel and force are known")
        trigger, parallel = content.get("trigger"), content.get("parallel", 1)
        force = content.get("force", False)
        _require(isinstance(trigger, str | None), "'trigger' must be the id of a schedule or null")
        _require(
            isinstance(parallel, int)
            and not isinstance(parallel, bool)
            and 1 <= parallel <= MOST_PARALLEL,
            f"'parallel' must be a number from 1 to {MOST_PARALLEL}",
        )
        _require(isinstance(force, bool), "'force' must be true or false")
        backfill, slots = await self._backfills.begin(
            _key_of(request),
            trigger=trigger,
            first=_moment(content, "from"),
            until=_moment(content, "to"),
            parallel=parallel,
            force=force,
        )
        shape: Json = {"backfill_id": backfill, "slots": slots}
        return json_response(shape, status=HTTPStatus.ACCEPTED)

    async def cancel(self, request: Request) -> Response:
        """Ends the backfills of a flow and answers with how many."""
        return json_response({"ended": await self._backfills.cancel(_key_of(request))})


def _key_of(request: Request) -> FlowKey:
    return FlowKey(request.path_params["account"], request.path_params["name"])


def _moment(content: dict[str, Json], name: str) -> datetime:
    text = content.get(name)
    at = parse_moment(text) if isinstance(text, str) else None
    if at is None or not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        years = f"from {_FIRST_YEAR} to {_LAST_YEAR}"
        raise _invalid(f"{name!r} must be a time such as 2027-03-01T12:00:00Z, {years}")
    return at


def _require(condition: object, message: str) -> None:
    if not condition:
        raise _invalid(message)


def _invalid(message: str) -> ValidationError:
    return ValidationError(message, code="request.body", findings=[{"message": message}])
