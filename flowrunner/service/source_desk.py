"""Reads and commands about the repository that the daemon pulls, if it pulls one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from flowrunner.errors import RefusedError
from flowrunner.model.ids import Revision
from flowrunner.reconcile.upstream.source import UpstreamStatus
from flowrunner.reconcile.upstream.values import Commit, Published, SyncResult
from flowrunner.service.source_views import (
    CommitView,
    PinView,
    PublishedView,
    SyncView,
    UpstreamView,
)


class PullsRepository(Protocol):
    """The part of the git source that a command reaches."""

    def status(self) -> UpstreamStatus:
        """Returns what is known."""

    def history(self) -> Sequence[Published]:
        """Returns what was put in place, the newest first."""

    async def sync(self) -> SyncResult:
        """Asks the repository now."""

    async def rollback(self, revision: str, *, uid: int | None, reason: str) -> Revision:
        """Pins a revision and puts it in force."""

    async def unpin(self) -> bool:
        """Ends the pin and asks the repository."""


class SourceDesk:
    """The one door to the git source; every method raises `FlowError` and nothing else.

    Args:
        repository: None when the flows come from a folder.
        words: Returns the commit of a revision of a checkout, None for none; blocks.
    """

    def __init__(
        self,
        repository: PullsRepository | None = None,
        words: Callable[[Revision], Commit | None] = lambda _: None,
    ) -> None:
        self._repository = repository
        self._words = words

    async def commit(self, revision: Revision) -> CommitView | None:
        """Returns the commit of the revision in force; None: it is that of a plain folder."""
        if self._repository is not None:
            found = self._repository.status().commit
        else:
            found = await asyncio.to_thread(self._words, revision)
        return None if found is None else _commit(found)

    def upstream(self) -> UpstreamView | None:
        """Returns what is known of the repository; None when there is none."""
        if self._repository is None:
            return None
        status = self._repository.status()
        pin, sync = status.pin, status.last_sync
        return UpstreamView(
            url=status.url,
            ref=status.ref,
            path=status.path,
            commit=None if status.commit is None else _commit(status.commit),
            pin=None
            if pin is None
            else PinView(revision=pin.revision, at=pin.at, uid=pin.uid, reason=pin.reason),
            last_sync=None if sync is None else _sync(sync),
            reached_at=status.reached_at,
        )

    def history(self) -> tuple[PublishedView, ...]:
        """Returns what was put in place, the newest first; raises `RefusedError`."""
        found = self._required().history()
        return tuple(PublishedView(commit=_commit(each.commit), at=each.at) for each in found)

    async def sync(self) -> SyncView:
        """Asks the repository now and returns how that ended; raises `RefusedError`."""
        return _sync(await self._required().sync())

    async def rollback(self, revision: str, *, uid: int | None, reason: str) -> Revision:
        """Pins a revision, by its first digits, and returns it once it was put in force.

        Raises:
            NotFoundError: There is no such commit.
            RefusedError: It is not verified, or cannot be checked out; or there is no repository.
            StorageError: It cannot be kept.
        """
        return await self._required().rollback(revision, uid=uid, reason=reason)

    async def unpin(self) -> bool:
        """Ends the pin and returns whether there was one; raises as `rollback`."""
        return await self._required().unpin()

    def _required(self) -> PullsRepository:
        if self._repository is None:
            text = "the flows come from a folder: the setting source.git.url names a repository"
            raise RefusedError(text, code="no_git_source")
        return self._repository


def _commit(commit: Commit) -> CommitView:
    return CommitView(
        revision=commit.revision,
        author=commit.author,
        subject=commit.subject,
        committed_at=commit.committed_at,
        is_verified=commit.is_verified,
    )


def _sync(result: SyncResult) -> SyncView:
    return SyncView(
        outcome=str(result.outcome),
        at=result.at,
        newest=result.newest,
        reason=str(result.reason),
        message=result.message,
    )
