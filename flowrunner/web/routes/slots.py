"""Slots: what became of those of a flow, what is due next, and why a flow did or did not start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import FlowKey
from flowrunner.model.schedule import EPOCH
from flowrunner.service.slot_views import DueView, SlotPage, SlotPlace, WhyView
from flowrunner.web.context import caller_of, is_restricted
from flowrunner.web.query import LATEST, bad_cursor, limit_of, moment_of, name_of
from flowrunner.web.responses import json_response
from flowrunner.web.slot_wire import due_json, slot_json, why_json
from flowrunner.web.wire import page_json

_MOMENT = timedelta(microseconds=1)


class ReadsSlots(Protocol):
    """The part of the business behind these addresses."""

    async def slots(
        self,
        key: FlowKey,
        *,
        after: datetime,
        until: datetime,
        place: SlotPlace | None = None,
        limit: int = 100,
    ) -> SlotPage:
        """Returns slots of a flow, the latest first; raises `NotFoundError`."""

    async def schedule(
        self,
        *,
        sees: Callable[[str], bool],
        account: str | None,
        flow: str | None,
        after: DueView | None,
        limit: int,
    ) -> list[DueView]:
        """Returns when schedules are due next, the soonest first."""

    async def why(self, key: FlowKey, at: datetime | None) -> WhyView:
        """Returns why a flow did or did not start; raises `NotFoundError`."""


class SlotRoutes:
    """`/api/v1/flows/{account}/{name}/slots`, `/api/v1/schedule` and the command `why`."""

    def __init__(self, ledger: ReadsSlots) -> None:
        self._ledger = ledger

    async def page(self, request: Request) -> Response:
        """Answers with slots from `from` on and before `to`, the latest first."""
        first, end, limit = moment_of(request, "from"), moment_of(request, "to"), limit_of(request)
        page = await self._ledger.slots(
            _key_of(request),
            after=EPOCH if first is None else first - _MOMENT,
            until=LATEST if end is None else end - _MOMENT,
            place=_place_of(request),
            limit=limit,
        )
        redacted = is_restricted(request.scope)
        return await asyncio.to_thread(_page_response, page, redacted=redacted)

    async def schedule(self, request: Request) -> Response:
        """Answers with the next slot of each schedule, the soonest first."""
        limit = limit_of(request)
        found = await self._ledger.schedule(
            sees=caller_of(request.scope).sees,
            account=name_of(request, "account"),
            flow=name_of(request, "flow"),
            after=_due_of(request),
            limit=limit + 1,
        )
        shown = found[:limit]
        more = _due_cursor(shown[-1]) if len(found) > limit else None
        return json_response(page_json(map(due_json, shown), more))

    async def why(self, request: Request) -> Response:
        """Answers with a sentence, and what it was made of."""
        view = await self._ledger.why(_key_of(request), moment_of(request, "at"))
        return json_response(why_json(view))


def _page_response(page: SlotPage, *, redacted: bool) -> Response:
    items = [slot_json(view, redacted=redacted) for view in page.items]
    cursor = None if page.next_place is None else _cursor(page.next_place)
    return json_response(page_json(items, cursor))


def _key_of(request: Request) -> FlowKey:
    return FlowKey(request.path_params["account"], request.path_params["name"])


def _cursor(place: SlotPlace) -> str:
    return f"{place.slot_at.isoformat()}~{place.trigger}~{place.fingerprint}"


def _place_of(request: Request) -> SlotPlace | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    at, *rest = text.split("~")
    moment = parse_moment(at)
    if moment is None or len(rest) != 2:  # noqa: PLR2004 - trigger and fingerprint
        raise bad_cursor()
    return SlotPlace(moment, *rest)


def _due_cursor(due: DueView) -> str:
    return f"{due.slot_at.isoformat()}~{due.flow}~{due.trigger}"


def _due_of(request: Request) -> DueView | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    at, *rest = text.split("~")
    moment = parse_moment(at)
    if moment is None or len(rest) != 2:  # noqa: PLR2004 - flow and trigger
        raise bad_cursor()
    account, _, name = rest[0].partition("/")
    return DueView(flow=FlowKey(account, name), trigger=rest[1], slot_at=moment)
