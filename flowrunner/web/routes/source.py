"""The source: where the flows come from, and commands about a repository that is pulled."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from flowrunner.errors import ValidationError
from flowrunner.model.ids import Revision
from flowrunner.service.source_views import CommitView, PublishedView, SyncView, UpstreamView
from flowrunner.service.views import SourceView
from flowrunner.web.body import read_object
from flowrunner.web.context import is_restricted, unix_peer_of
from flowrunner.web.responses import json_response
from flowrunner.web.source_wire import commit_json, history_json, sync_json, upstream_json
from flowrunner.web.wire import source_json

_LONGEST_REASON = 500
_LONGEST_REVISION = 100


class KnowsFlowsSource(Protocol):
    """The part of the service behind `/api/v1/source`."""

    def source(self) -> SourceView:
        """Returns the state of the source and the last pass."""


class CommandsRepository(Protocol):
    """What is behind the commands; see `flowrunner.service.source_desk`."""

    def upstream(self) -> UpstreamView | None:
        """Returns what is known of the repository; None when there is none."""

    async def commit(self, revision: Revision) -> CommitView | None:
        """Returns the commit of the revision in force; None: it is that of a plain folder."""

    def history(self) -> tuple[PublishedView, ...]:
        """Returns what was put in place, the newest first."""

    async def sync(self) -> SyncView:
        """Asks the repository now."""

    async def rollback(self, revision: str, *, uid: int | None, reason: str) -> Revision:
        """Pins a revision and puts it in force."""

    async def unpin(self) -> bool:
        """Ends the pin and asks the repository."""


class SourceRoutes:
    """`/api/v1/source`, and `/control/v1/source` and below."""

    def __init__(self, service: KnowsFlowsSource, repository: CommandsRepository) -> None:
        self._service = service
        self._repository = repository

    async def state(self, request: Request) -> Response:
        """Answers with revision, its commit, conditions and, under `git`, the repository."""
        source = self._service.source()
        known = source_json(source)
        redacted = is_restricted(request.scope)
        git = upstream_json(self._repository.upstream(), redacted=redacted)
        kind = "folder" if git is None else "git"
        shape = {"kind": kind, "revision": known["revision"], "conditions": known["conditions"]}
        found = await self._repository.commit(source.revision)
        commit = commit_json(found, redacted=redacted)
        return json_response({**shape, "commit": commit, "git": git, "redacted": redacted})

    async def history(self, _request: Request) -> Response:
        """Answers with what was put in place, the newest first."""
        return json_response(history_json(self._repository.history()))

    async def sync(self, _request: Request) -> Response:
        """Asks the repository now; answers with how that ended, after the pass."""
        return json_response(sync_json(await self._repository.sync()))

    async def rollback(self, request: Request) -> Response:
        """Pins `{revision, reason}`; answers with the whole revision once it is in force."""
        content = await read_object(request)
        revision, reason = content.get("revision"), content.get("reason", "")
        is_good = isinstance(revision, str) and len(revision) <= _LONGEST_REVISION
        is_good = is_good and isinstance(reason, str) and len(reason) <= _LONGEST_REASON
        if not is_good or set(content) - {"revision", "reason"}:
            text = "'revision' and perhaps 'reason', as texts, are all that may be said"
            raise ValidationError(text, code="request.body", findings=[{"message": text}])
        peer = unix_peer_of(request.scope)
        uid = None if peer is None else peer.uid
        found = await self._repository.rollback(str(revision), uid=uid, reason=str(reason))
        return json_response({"revision": found})

    async def unpin(self, _request: Request) -> Response:
        """Ends the pin; answers with whether there was one."""
        return json_response({"was_pinned": await self._repository.unpin()})
