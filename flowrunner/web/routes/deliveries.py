"""Deliveries: what came to the hooks, what it was answered, and why."""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.model.delivery_query import DeliveryQuery
from flowrunner.model.delivery_record import DeliveryOutcome, DeliveryPlace, DeliveryReason
from flowrunner.model.formats import parse_moment
from flowrunner.service.delivery_desk import DeliveryPage
from flowrunner.web.context import caller_of, is_restricted
from flowrunner.web.delivery_wire import delivery_json
from flowrunner.web.names import EXECUTION_ID
from flowrunner.web.query import bad_cursor, invalid, limit_of, moment_of, name_of
from flowrunner.web.responses import json_response
from flowrunner.web.wire import page_json

W = TypeVar("W", DeliveryReason, DeliveryOutcome)

_LONGEST_TRIGGER = 64


class ReadsDeliveries(Protocol):
    """The part of the business behind this address."""

    async def page(self, query: DeliveryQuery) -> DeliveryPage:
        """Returns a page, newest first."""


class DeliveryRoutes:
    """`/api/v1/deliveries`."""

    def __init__(self, desk: ReadsDeliveries) -> None:
        self._desk = desk

    async def page(self, request: Request) -> Response:
        """Answers with a page of deliveries, newest first.

        Who sees all of everything also sees what went to no hook: its path is what a stranger
        sent, and belongs to no account.
        """
        redacted, account = is_restricted(request.scope), name_of(request, "account")
        accounts = caller_of(request.scope).accounts
        is_unrestricted = accounts is None and not redacted
        if account is not None:
            accounts = frozenset({account}) if accounts is None else accounts & {account}
        query = DeliveryQuery(
            accounts=accounts,
            only_hooks=not is_unrestricted,
            flow=name_of(request, "flow"),
            trigger=_trigger_of(request),
            reasons=_reasons_of(request),
            since=moment_of(request, "since"),
            until=moment_of(request, "until"),
            before=_place_of(request),
            limit=limit_of(request),
        )
        page = await self._desk.page(query)
        return await asyncio.to_thread(_page_response, page, redacted=redacted)


def _page_response(page: DeliveryPage, *, redacted: bool) -> Response:
    items = [delivery_json(record, redacted=redacted) for record in page.items]
    place = page.next_place
    return json_response(page_json(items, place and f"{place.at.isoformat()}~{place.id}"))


def _trigger_of(request: Request) -> str | None:
    text = request.query_params.get("trigger")
    if text is not None and not 1 <= len(text) <= _LONGEST_TRIGGER:
        raise invalid("trigger", "must be the id of a trigger")
    return text


def _reasons_of(request: Request) -> tuple[DeliveryReason, ...]:
    """Returns the reasons asked for, or those of the outcomes asked for; empty: all."""
    reasons = _words_of(request, "reason", DeliveryReason)
    outcomes = _words_of(request, "outcome", DeliveryOutcome)
    if outcomes is None:
        return reasons or ()
    found = tuple(each for each in reasons or DeliveryReason if each.outcome in outcomes)
    if not found:
        raise invalid("reason", "none of these reasons has one of these outcomes")
    return found


def _words_of(request: Request, parameter: str, kind: type[W]) -> tuple[W, ...] | None:
    text = request.query_params.get(parameter)
    if text is None:
        return None
    try:
        return tuple(kind(word) for word in text.split(","))
    except ValueError as error:
        known = ", ".join(kind)
        raise invalid(parameter, f"must be one or more, with commas, of: {known}") from error


def _place_of(request: Request) -> DeliveryPlace | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    at, _, record_id = text.partition("~")
    moment = parse_moment(at)
    if moment is None or not EXECUTION_ID.fullmatch(record_id):
        raise bad_cursor()
    return DeliveryPlace(moment, record_id)
