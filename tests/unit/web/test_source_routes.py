"""The source over HTTP: who sees what, and commands about a repository."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from flowrunner.errors import NotFoundError
from flowrunner.model.ids import Revision
from flowrunner.service.source_views import (
    CommitView,
    PinView,
    PublishedView,
    SyncView,
    UpstreamView,
)
from flowrunner.web.app import make_control_app, make_public_app
from flowrunner.web.callers import AccessRules
from flowrunner.web.middleware.authentication import LocalHosts
from tests.fakes.asgi import Answer, ask
from tests.unit.web.apps import COMMANDER, make_access, make_parts

NOW = datetime(2027, 3, 1, tzinfo=UTC)
REVISION = Revision("a" * 40)
COMMIT = CommitView(
    revision=REVISION, author="A", subject="S", committed_at="2027", is_verified=True
)
SYNC = SyncView(outcome="published", at=NOW, newest=REVISION, reason="Synced", message="")
PIN = PinView(revision=REVISION, at=NOW, uid=7, reason="private words")


@dataclass
class FakeRepository:
    """Notes what it is told."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def upstream(self) -> UpstreamView:
        return UpstreamView(
            url="/r", ref="main", path=None, commit=COMMIT, pin=PIN, last_sync=SYNC, reached_at=NOW
        )

    async def commit(self, revision: Revision) -> CommitView:
        return replace(COMMIT, revision=revision)

    def history(self) -> tuple[PublishedView, ...]:
        return (PublishedView(commit=COMMIT, at=NOW),)

    async def sync(self) -> SyncView:
        self.calls.append(("sync",))
        return SYNC

    async def rollback(self, revision: str, *, uid: int | None, reason: str) -> Revision:
        self.calls.append(("rollback", revision, uid, reason))
        if revision == "absent":
            raise NotFoundError("no commit here begins so")
        return REVISION

    async def unpin(self) -> bool:
        self.calls.append(("unpin",))
        return True


def commanded(repository: FakeRepository, target: str, content: Any = None) -> Answer:
    parts = replace(make_parts(), repository=repository)
    app = make_control_app(parts, is_attempt=lambda _pid, _uid: False)
    body = b"" if content is None else json.dumps(content).encode()
    method = "GET" if target.endswith("history") else "POST"
    headers = {"content-type": "application/json"}
    return ask(app, method, target, headers=headers, body=body, peer=COMMANDER)


def test_restricted_callers_see_no_texts_of_strangers() -> None:
    """Revision and outcome are for all; author, subject and reason are not."""
    parts = replace(make_parts(), repository=FakeRepository())
    app = make_public_app(parts, access=make_access(), hosts=LocalHosts())
    got = ask(app, "GET", "/api/v1/source").json
    assert (got["kind"], got["redacted"]) == ("git", True)
    assert got["git"]["commit"]["revision"] == REVISION
    for commit in (got["commit"], got["git"]["commit"]):
        assert (commit["author"], commit["subject"]) == (None, None)
    assert got["commit"]["revision"] == got["revision"]
    assert got["git"]["pin"]["reason"] is None
    assert got["git"]["last_sync"]["outcome"] == "published"
    assert "private words" not in ask(app, "GET", "/api/v1/reconcile").text


def test_commands_are_not_on_the_network() -> None:
    """The network listener has no address that changes the source."""
    parts = replace(make_parts(), repository=FakeRepository())
    app = make_public_app(parts, access=make_access(AccessRules(local="open")), hosts=LocalHosts())
    assert ask(app, "POST", "/control/v1/source/sync").status in (401, 404)
    assert ask(app, "POST", "/api/v1/source").status == 405


def test_commands_reach_the_repository() -> None:
    """Each command is passed on, a rollback with who asks for it."""
    repository = FakeRepository()
    assert commanded(repository, "/control/v1/source/sync").json["outcome"] == "published"
    content = {"revision": "abcd", "reason": "why"}
    assert commanded(repository, "/control/v1/source/rollback", content).json == {
        "revision": REVISION
    }
    assert commanded(repository, "/control/v1/source/unpin").json == {"was_pinned": True}
    history = commanded(repository, "/control/v1/source/history").json["items"]
    assert history[0]["subject"] == "S"
    assert [call[0] for call in repository.calls] == ["sync", "rollback", "unpin"]
    assert isinstance(repository.calls[1][2], int)


@pytest.mark.parametrize(
    "content",
    [{}, {"revision": 1}, {"revision": "a" * 101}, {"revision": "a", "reason": 1},
     {"revision": "a", "reason": "x" * 501}, {"revision": "a", "force": True}],
)  # fmt: skip
def test_rollback_of_another_shape_is_refused(content: dict[str, Any]) -> None:
    """What is not a revision with perhaps a reason reaches nothing."""
    repository = FakeRepository()
    assert (
        commanded(repository, "/control/v1/source/rollback", content).json["code"] == "request.body"
    )
    assert repository.calls == []


def test_unknown_revision_is_a_problem() -> None:
    """A revision that is not there is answered 404."""
    content = {"revision": "absent"}
    assert commanded(FakeRepository(), "/control/v1/source/rollback", content).status == 404


def test_daemon_with_a_folder_refuses_the_commands() -> None:
    """Without a repository a command is a conflict, and the source is a folder."""
    app = make_control_app(make_parts(), is_attempt=lambda _pid, _uid: False)
    got = ask(app, "POST", "/control/v1/source/sync", peer=COMMANDER)
    assert (got.status, got.json["code"]) == (409, "no_git_source")
    assert ask(app, "GET", "/api/v1/source", peer=COMMANDER).json["kind"] == "folder"
