"""Executions: the list, one with its nodes, and what its attempts printed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flowrunner.model.ids import ExecutionId
from flowrunner.model.states import ExecutionState
from flowrunner.service.traces import TracePage
from flowrunner.service.views import ExecutionView, LogCursor, LogPage, Page
from flowrunner.web.accept import preferred
from flowrunner.web.context import caller_of, is_restricted
from flowrunner.web.joined_pages import joined
from flowrunner.web.log_cursor import unpack_cursor
from flowrunner.web.query import (
    execution_cursor_of,
    item_of,
    limit_of,
    name_of,
    node_cursor_of,
    states_of,
    wait_of,
)
from flowrunner.web.responses import COMMON_HEADERS, JSON_TYPE, TEXT_TYPE, json_response
from flowrunner.web.trace_wire import trace_json
from flowrunner.web.wire import execution_json, log_page_json, log_page_text, page_json


class ReadsExecutions(Protocol):
    """The part of the service behind these addresses."""

    async def executions(
        self,
        *,
        account: str | None = None,
        flow: str | None = None,
        states: tuple[ExecutionState, ...] = (),
        before: ExecutionId | None = None,
        limit: int = 100,
        with_inputs: bool = True,
    ) -> Page:
        """Returns a page of executions, newest first."""

    async def execution(self, execution_id: str) -> ExecutionView:
        """Returns one execution with its nodes; raises `NotFoundError`."""

    async def trace(self, execution_id: str, *, after: str | None, limit: int) -> TracePage:
        """Returns a page of a trace; raises `NotFoundError`, or `ValidationError` for `after`."""

    async def logs(
        self,
        execution_id: str,
        *,
        node: str | None = None,
        item: int | None = None,
        cursor: LogCursor | None = None,
        wait_s: float = 0.0,
    ) -> LogPage:
        """Returns what was logged since the cursor, or in the next `wait_s` seconds.

        Raises `NotFoundError`.
        """


class ExecutionRoutes:
    """`/api/v1/executions` and below."""

    def __init__(self, service: ReadsExecutions) -> None:
        self._service = service

    async def page(self, request: Request) -> Response:
        """Answers with a page of executions, newest first, without their nodes."""
        redacted = is_restricted(request.scope)
        read, limit = (
            partial(
                self._service.executions,
                flow=name_of(request, "flow"),
                states=states_of(request),
                before=execution_cursor_of(request),
                with_inputs=not redacted,
            ),
            limit_of(request),
        )
        account, caller = name_of(request, "account"), caller_of(request.scope)
        if caller.accounts is None:
            page = await read(account=account, limit=limit)
        else:
            shown = sorted(name for name in caller.accounts if account in (None, name))
            pages = [await read(account=name, limit=limit) for name in shown]
            page = joined(pages, limit)
        return await asyncio.to_thread(_page_response, page, redacted=redacted)

    async def one(self, request: Request) -> Response:
        """Answers with one execution and its nodes."""
        view = await self._service.execution(request.path_params["id"])
        return await asyncio.to_thread(_response, view, redacted=is_restricted(request.scope))

    async def trace(self, request: Request) -> Response:
        """Answers with why an execution went as it did, node by node."""
        page = await self._service.trace(
            request.path_params["id"], after=node_cursor_of(request), limit=limit_of(request)
        )
        return await asyncio.to_thread(_trace_response, page)

    async def logs(self, request: Request) -> Response:
        """Answers with a page of logs as JSON, or with all of them so far as text."""
        execution_id, node = request.path_params["id"], request.query_params.get("node")
        text = request.query_params.get("cursor")
        cursor = LogCursor() if text is None else unpack_cursor(text)
        wait_s, item = wait_of(request), item_of(request)
        page = await self._service.logs(
            execution_id, node=node, item=item, cursor=cursor, wait_s=wait_s
        )
        accept = request.headers.get("accept", "")
        if preferred(accept, (JSON_TYPE, TEXT_TYPE)) == JSON_TYPE:
            return await asyncio.to_thread(_log_response, page)
        return StreamingResponse(
            self._text(execution_id, node, item, page),
            headers=COMMON_HEADERS,
            media_type="text/plain; charset=utf-8",
        )

    async def _text(
        self, execution_id: str, node: str | None, item: int | None, page: LogPage
    ) -> AsyncIterator[str]:
        """Yields page after page, until one has nothing new."""
        while page.chunks:
            yield await asyncio.to_thread(_log_text, page)
            page = await self._service.logs(execution_id, node=node, item=item, cursor=page.cursor)


# The bodies are made in a thread: an execution may have 10,000 nodes.


def _page_response(page: Page, *, redacted: bool) -> Response:
    items = [execution_json(view, redacted=redacted) for view in page.items]
    return json_response(page_json(items, page.next_cursor))


def _response(view: ExecutionView, *, redacted: bool) -> Response:
    return json_response(execution_json(view, redacted=redacted))


def _trace_response(page: TracePage) -> Response:
    return json_response(trace_json(page))


def _log_response(page: LogPage) -> Response:
    return json_response(log_page_json(page))


def _log_text(page: LogPage) -> str:
    return log_page_text(page).encode("utf-8", "replace").decode()
