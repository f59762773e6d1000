"""Commands: what changes anything. They are served on the control socket alone."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.errors import ValidationError
from flowrunner.model.ids import FlowKey, Json
from flowrunner.service.views import ExecutionView, StatusView
from flowrunner.web.body import read_object
from flowrunner.web.responses import json_response
from flowrunner.web.wire import EndedPass, pass_json, status_json

_START_KEYS = frozenset({"inputs", "as_text"})
_CANCEL_KEYS = frozenset({"force"})


class TakesCommands(Protocol):
    """The part of the service behind these addresses."""

    async def start(
        self, key: FlowKey, inputs: Mapping[str, Json], *, as_text: bool = False
    ) -> ExecutionView:
        """Starts a flow by hand."""

    async def cancel(self, execution_id: str, *, force: bool = False) -> None:
        """Asks an execution to end; with `force` without its `finally`."""

    async def reconcile(self) -> EndedPass:
        """Runs a pass now."""

    async def backup(self, target: str | None) -> str:
        """Makes a verified copy of the state."""

    async def acknowledge_restored(self) -> None:
        """Ends the condition `StateRestored`."""

    async def status(self) -> StatusView:
        """Returns the daemon at a glance."""


class ControlRoutes:
    """`/control/v1` and below."""

    def __init__(self, service: TakesCommands) -> None:
        self._service = service

    async def start(self, request: Request) -> Response:
        """Starts a flow with `{inputs, as_text}`; answers 202 with the id once it is durable."""
        inputs, as_text = _start_of(await read_object(request))
        key = FlowKey(request.path_params["account"], request.path_params["name"])
        execution_id = (await self._service.start(key, inputs, as_text=as_text)).execution.id
        return json_response(
            {"execution_id": execution_id},
            status=HTTPStatus.ACCEPTED,
            headers={"location": f"/api/v1/executions/{execution_id}"},
        )

    async def cancel(self, request: Request) -> Response:
        """Asks an execution to end, with `{force}` without its `finally`; answers 202 at once."""
        execution_id = request.path_params["id"]
        force = _force_of(await read_object(request))
        await self._service.cancel(execution_id, force=force)
        return json_response({"execution_id": execution_id}, status=HTTPStatus.ACCEPTED)

    async def reconcile(self, _request: Request) -> Response:
        """Runs a pass and answers with how it ended."""
        return json_response(pass_json(await self._service.reconcile()))

    async def backup(self, request: Request) -> Response:
        """Makes a copy at `{file}`, or in the state for null, and answers with its path."""
        target = _target_of(await read_object(request))
        return json_response({"path": await self._service.backup(target)})

    async def acknowledge_restored(self, _request: Request) -> Response:
        """Ends the condition and answers with nothing left of it."""
        await self._service.acknowledge_restored()
        return json_response({"conditions": []})

    async def status(self, _request: Request) -> Response:
        """Answers with the daemon at a glance."""
        return json_response(status_json(await self._service.status()))


def _target_of(content: dict[str, Json]) -> str | None:
    """Returns the file; raises `ValidationError` (``request.body``)."""
    target = content.get("file")
    is_path = target is None or (isinstance(target, str) and target.startswith("/"))
    if set(content) - {"file"} or not is_path:
        message = "'file', an absolute path or null, is all that may be said"
        raise ValidationError(message, code="request.body", findings=[{"message": message}])
    return target


def _start_of(content: dict[str, Json]) -> tuple[dict[str, Json], bool]:
    """Returns inputs and `as_text`; raises `ValidationError` (``request.body``)."""
    messages = _unknown(content, _START_KEYS)
    inputs, as_text = content.get("inputs", {}), content.get("as_text", False)
    if not isinstance(inputs, dict):
        messages.append("'inputs' must be an object")
    if not isinstance(as_text, bool):
        messages.append("'as_text' must be true or false")
    _refuse(messages)
    return inputs, as_text


def _force_of(content: dict[str, Json]) -> bool:
    """Returns `force`; raises `ValidationError` (``request.body``)."""
    messages = _unknown(content, _CANCEL_KEYS)
    force = content.get("force", False)
    if not isinstance(force, bool):
        messages.append("'force' must be true or false")
    _refuse(messages)
    return bool(force)


def _unknown(content: dict[str, Json], known: frozenset[str]) -> list[str]:
    return [f"unknown key {key[:60]!r}" for key in content if key not in known]


def _refuse(messages: list[str]) -> None:
    if messages:
        findings = [{"message": message} for message in messages]
        raise ValidationError("; ".join(messages), code="request.body", findings=findings)
