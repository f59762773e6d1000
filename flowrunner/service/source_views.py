"""What the service shows of the repository that the daemon pulls."""

from __future__ import annotations

from datetime import datetime

from flowrunner.dataclass import dataclass
from flowrunner.model.ids import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitView:
    """A commit; author and subject are texts of strangers, and bounded."""

    revision: Revision
    author: str
    subject: str
    committed_at: str
    is_verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedView:
    """A commit that was put in place, and when."""

    commit: CommitView
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PinView:
    """The revision that a rollback holds, and who asked for it."""

    revision: Revision
    at: datetime
    uid: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncView:
    """How a sync ended; `outcome` is `published`, `unchanged`, `pinned`, `refused` or `failed`."""

    outcome: str
    at: datetime
    newest: Revision
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamView:
    """The repository.

    Attributes:
        commit: The one in place.
        last_sync: None before the first in this life of the daemon.
        reached_at: When a sync last found nothing wrong.
    """

    url: str
    ref: str | None
    path: str | None
    commit: CommitView | None
    pin: PinView | None
    last_sync: SyncView | None
    reached_at: datetime | None
