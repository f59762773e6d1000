"""Commands: what changes anything. They are served on the control socket alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.errors import ValidationError
from flowrunner.model.ids import ExecutionId, FlowKey, Json
from flowrunner.service.settings_desk import SettingsView
from flowrunner.service.views import FlowView
from flowrunner.web.body import read_object
from flowrunner.web.context import unix_peer_of
from flowrunner.web.pause_body import pause_of
from flowrunner.web.responses import json_response
from flowrunner.web.settings_wire import settings_json
from flowrunner.web.wire import EndedPass, flow_json, pass_json

_START_KEYS = frozenset({"inputs", "as_text", "force"})
_RETRY_KEYS = frozenset({"force", "from"})
_CANCEL_FLAGS = ("queued", "force")
_RECONCILE_FLAGS = ("wait", "ignore_lock")
_APPROVAL = "allow_prune"


class TakesCommands(Protocol):
    """The part of the service behind these addresses."""

    async def start(
        self,
        key: FlowKey,
        inputs: Mapping[str, Json],
        *,
        as_text: bool = False,
        force: bool = False,
    ) -> ExecutionId:
        """Starts a flow by hand."""

    async def pause(
        self, key: FlowKey, *, reason: str = "", until: datetime | None = None, uid: int | None
    ) -> FlowView:
        """Keeps a flow from starting."""

    async def resume(self, key: FlowKey) -> FlowView:
        """Ends the pause of a flow."""

    async def cancel(
        self, execution_id: str, *, only_queued: bool = False, force: bool = False
    ) -> None:
        """Asks an execution to end."""

    async def cancel_queued(self, key: FlowKey) -> tuple[ExecutionId, ...]:
        """Ends what waits of a flow."""

    async def retry(
        self, execution_id: str, *, force: bool = False, from_node: str | None = None
    ) -> ExecutionId:
        """Starts an ended execution once more, whole or from a node."""

    async def reconcile(self) -> EndedPass:
        """Runs a pass now."""

    async def allow_prune(self, revision: str) -> EndedPass:
        """Lets leave what is held of a revision."""

    def reconcile_soon(self) -> None:
        """Asks for a pass that begins after this call."""

    async def ignore_lock(self) -> None:
        """Takes git's lock that is there now for one that was left behind."""

    async def backup(self, target: str | None) -> str:
        """Makes a verified copy of the state."""

    async def acknowledge_restored(self) -> None:
        """Ends the condition `StateRestored`."""


class ReloadsSettings(Protocol):
    """What reads the settings again."""

    async def reload(self) -> SettingsView:
        """Returns how that ended; never raises for anything that stands in them."""


class ControlRoutes:
    """`/control/v1` and below."""

    def __init__(self, service: TakesCommands, desk: ReloadsSettings) -> None:
        self._service = service
        self._desk = desk

    async def start(self, request: Request) -> Response:
        """Starts a flow with `{inputs, as_text, force}`; answers 202 with the id once durable."""
        inputs, flags = _start_of(await read_object(request))
        return _started(await self._service.start(_flow(request), inputs, **flags))

    async def pause(self, request: Request) -> Response:
        """Pauses a flow with `{reason, until}`; answers with the flow once that is durable."""
        reason, until = pause_of(await read_object(request))
        peer = unix_peer_of(request.scope)
        uid = None if peer is None else peer.uid
        view = await self._service.pause(_flow(request), reason=reason, until=until, uid=uid)
        return json_response(flow_json(view, redacted=False))

    async def resume(self, request: Request) -> Response:
        """Ends the pause of a flow; answers with the flow once that is durable."""
        return json_response(flow_json(await self._service.resume(_flow(request)), redacted=False))

    async def cancel(self, request: Request) -> Response:
        """Asks an execution to end; answers 202 at once.

        With `{queued}` only if it waits, with `{force}` without its `finally`.
        """
        execution_id = request.path_params["id"]
        flags = _flags_of(await read_object(request), _CANCEL_FLAGS)
        only_queued, force = flags["queued"], flags["force"]
        await self._service.cancel(execution_id, only_queued=only_queued, force=force)
        return json_response({"execution_id": execution_id}, status=HTTPStatus.ACCEPTED)

    async def cancel_queued(self, request: Request) -> Response:
        """Ends what waits of a flow; answers with the ids."""
        ended = await self._service.cancel_queued(_flow(request))
        return json_response({"execution_ids": list(ended)})

    async def retry(self, request: Request) -> Response:
        """Starts an ended execution once more with `{force, from}`; answers 202 with the new id."""
        force, from_node = _retry_of(await read_object(request))
        accepted = await self._service.retry(
            request.path_params["id"], force=force, from_node=from_node
        )
        return _started(accepted)

    async def reconcile(self, request: Request) -> Response:
        """Asks for a pass and answers 202; with `{"wait": true}` with how it ended.

        With `{"ignore_lock": true}` a lock of git that is there now is no obstacle. With
        `{"allow_prune": REVISION}` what is held of that revision leaves; it waits in any case.
        """
        content = await read_object(request)
        revision = _revision_of(content)
        flags = _flags_of(content, _RECONCILE_FLAGS)
        if flags["ignore_lock"]:
            await self._service.ignore_lock()
        if revision is not None:
            return json_response(pass_json(await self._service.allow_prune(revision)))
        if flags["wait"]:
            return json_response(pass_json(await self._service.reconcile()))
        self._service.reconcile_soon()
        return json_response({"status": "requested"}, status=HTTPStatus.ACCEPTED)

    async def reload(self, request: Request) -> Response:
        """Reads the settings again, then asks for a pass as `reconcile` does with `{wait}`.

        The answer has under `settings` how that ended, and the pass is made in any case.
        """
        is_waiting = _flags_of(await read_object(request), ("wait",))["wait"]
        settings = settings_json(await self._desk.reload())
        if is_waiting:
            ended = pass_json(await self._service.reconcile())
            return json_response({**ended, "settings": settings})
        self._service.reconcile_soon()
        requested = {"status": "requested", "settings": settings}
        return json_response(requested, status=HTTPStatus.ACCEPTED)

    async def backup(self, request: Request) -> Response:
        """Makes a copy at `{file}`, or in the state for null, and answers with its path."""
        target = _target_of(await read_object(request))
        return json_response({"path": await self._service.backup(target)})

    async def acknowledge_restored(self, _request: Request) -> Response:
        """Ends the condition and answers with nothing left of it."""
        await self._service.acknowledge_restored()
        return json_response({"conditions": []})


def _revision_of(content: dict[str, Json]) -> str | None:
    """Takes the revision out; raises `ValidationError` (``request.body``)."""
    revision = content.pop(_APPROVAL, None)
    if revision is None or isinstance(revision, str):
        return revision
    _complain([f"{_APPROVAL!r} must be a revision or null"])
    return None


def _target_of(content: dict[str, Json]) -> str | None:
    """Returns the file; raises `ValidationError` (``request.body``)."""
    target = content.get("file")
    is_path = target is None or (isinstance(target, str) and target.startswith("/"))
    if set(content) - {"file"} or not is_path:
        message = "'file', an absolute path or null, is all that may be said"
        raise ValidationError(message, code="request.body", findings=[{"message": message}])
    return target


def _started(execution_id: ExecutionId) -> Response:
    return json_response(
        {"execution_id": execution_id},
        status=HTTPStatus.ACCEPTED,
        headers={"location": f"/api/v1/executions/{execution_id}"},
    )


def _flags_of(content: dict[str, Json], names: Sequence[str]) -> dict[str, bool]:
    """Returns flags, the only ones there may be; raises `ValidationError` (``request.body``)."""
    flags = {name: content.get(name, False) for name in names}
    _complain([*_unknown(content, frozenset(names)), *_no_flags(flags)])
    return flags


def _no_flags(flags: dict[str, Json]) -> list[str]:
    wrong = (name for name, flag in flags.items() if not isinstance(flag, bool))
    return [f"{name!r} must be true or false" for name in wrong]


def _flow(request: Request) -> FlowKey:
    return FlowKey(request.path_params["account"], request.path_params["name"])


def _start_of(content: dict[str, Json]) -> tuple[dict[str, Json], dict[str, bool]]:
    """Returns inputs and the flags; raises `ValidationError` (``request.body``)."""
    messages = _unknown(content, _START_KEYS)
    inputs = content.get("inputs", {})
    flags = {name: content.get(name, False) for name in ("as_text", "force")}
    if not isinstance(inputs, dict):
        messages.append("'inputs' must be an object")
    messages.extend(_no_flags(flags))
    _complain(messages)
    return inputs, flags


def _retry_of(content: dict[str, Json]) -> tuple[bool, str | None]:
    """Returns whether to force and the node; raises `ValidationError` (``request.body``)."""
    messages, node = _unknown(content, _RETRY_KEYS), content.get("from")
    flags = {"force": content.get("force", False)}
    if not isinstance(node, str | None):
        messages.append("'from' must be the name of a node or null")
    messages.extend(_no_flags(flags))
    _complain(messages)
    return flags["force"], node


def _unknown(content: dict[str, Json], known: frozenset[str]) -> list[str]:
    return [f"unknown key {key[:60]!r}" for key in content if key not in known]


def _complain(messages: Sequence[str]) -> None:
    if messages:
        findings = [{"message": message} for message in messages]
        raise ValidationError("; ".join(messages), code="request.body", findings=findings)
