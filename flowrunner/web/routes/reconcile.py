"""Reconcile: the state of the source, the last pass, and the files that are out."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.service.views import SourceView
from flowrunner.web.responses import json_response
from flowrunner.web.wire import source_json


class KnowsSource(Protocol):
    """The part of the service behind this address."""

    def source(self) -> SourceView:
        """Returns the state of the source and the last pass."""


class ReconcileRoute:
    """`/api/v1/reconcile`."""

    def __init__(self, service: KnowsSource) -> None:
        self._service = service

    async def state(self, _request: Request) -> Response:
        """Answers with the state of the source."""
        return json_response(source_json(self._service.source()))
