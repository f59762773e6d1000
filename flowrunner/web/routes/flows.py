"""Flows: the list, one with its conditions and findings, its definition, its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.model.ids import FlowKey, Json
from flowrunner.model.packed import plain
from flowrunner.service.flow_events import EventPage
from flowrunner.service.views import FlowView
from flowrunner.web.context import caller_of, is_restricted
from flowrunner.web.query import flow_cursor_of, limit_of, name_of, number_cursor_of
from flowrunner.web.responses import json_response
from flowrunner.web.wire import event_json, flow_json, page_json


class ReadsFlows(Protocol):
    """The part of the service behind these addresses."""

    def flows(
        self, sees: Callable[[str], bool], *, after: FlowKey | None, limit: int
    ) -> list[FlowView]:
        """Returns the flows of accounts behind a key, in key order, at most `limit`."""

    def flow(self, key: FlowKey) -> FlowView:
        """Returns one flow; raises `NotFoundError`."""

    def definition(self, key: FlowKey) -> Mapping[str, Json]:
        """Returns the definition in force; raises `NotFoundError`."""

    async def flow_events(self, key: FlowKey, *, before: int | None, limit: int) -> EventPage:
        """Returns events of a flow, newest first; raises `NotFoundError`."""


class FlowRoutes:
    """`/api/v1/flows` and below."""

    def __init__(self, service: ReadsFlows) -> None:
        self._service = service

    async def page(self, request: Request) -> Response:
        """Answers with a page of flows in key order; the cursor is the last key of the page."""
        limit, after = limit_of(request), flow_cursor_of(request)
        wanted, caller = name_of(request, "account"), caller_of(request.scope)

        def sees(account: str) -> bool:
            return wanted in (None, account) and caller.sees(account)

        found = self._service.flows(sees, after=after, limit=limit + 1)
        shown = found[:limit]
        redacted = is_restricted(request.scope)
        items = [flow_json(view, redacted=redacted) for view in shown]
        next_cursor = str(shown[-1].key) if len(found) > limit else None
        return json_response(page_json(items, next_cursor))

    async def one(self, request: Request) -> Response:
        """Answers with one flow."""
        view = self._service.flow(_key_of(request))
        return json_response(flow_json(view, redacted=is_restricted(request.scope)))

    async def definition(self, request: Request) -> Response:
        """Answers with the effective definition, as it is run."""
        return json_response(plain(self._service.definition(_key_of(request))))

    async def events(self, request: Request) -> Response:
        """Answers with a page of events, newest first; the cursor is the last number of it."""
        limit, before = limit_of(request), number_cursor_of(request)
        page = await self._service.flow_events(_key_of(request), before=before, limit=limit)
        next_cursor = None if page.before is None else str(page.before)
        return json_response(page_json(map(event_json, page.events), next_cursor))


def _key_of(request: Request) -> FlowKey:
    return FlowKey(request.path_params["account"], request.path_params["name"])
