"""The shapes of the repository that the daemon pulls: views in, JSON-safe values out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from flowrunner.model.ids import Json
from flowrunner.service.source_views import CommitView, PublishedView, SyncView, UpstreamView


def upstream_json(view: UpstreamView | None, *, redacted: bool) -> Json:
    """Returns the shape of the repository; for restricted callers without texts of strangers."""
    if view is None:
        return None
    pin = view.pin
    return {
        "url": view.url,
        "ref": view.ref,
        "path": view.path,
        "commit": commit_json(view.commit, redacted=redacted),
        "pin": None
        if pin is None
        else {
            "revision": pin.revision,
            "at": _time(pin.at),
            "uid": pin.uid,
            "reason": None if redacted else pin.reason,
        },
        "last_sync": None if view.last_sync is None else sync_json(view.last_sync),
        "reached_at": _time(view.reached_at),
    }


def sync_json(view: SyncView) -> Json:
    """Returns the shape of a sync."""
    return {
        "outcome": view.outcome,
        "at": _time(view.at),
        "newest": view.newest,
        "reason": view.reason,
        "message": view.message,
    }


def history_json(views: Iterable[PublishedView]) -> Json:
    """Returns the shape of what was put in place."""
    items = [
        {"published_at": _time(each.at), **_commit(each.commit, redacted=False)} for each in views
    ]
    return {"items": items, "next_cursor": None}


def commit_json(view: CommitView | None, *, redacted: bool) -> Json:
    """Returns the shape of the commit in force; for restricted callers without its texts."""
    return None if view is None else _commit(view, redacted=redacted)


def _commit(view: CommitView, *, redacted: bool) -> dict[str, Json]:
    return {
        "revision": view.revision,
        "author": None if redacted else view.author,
        "subject": None if redacted else view.subject,
        "committed_at": view.committed_at,
        "verified": view.is_verified,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
