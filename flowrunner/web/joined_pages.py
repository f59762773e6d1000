"""Pages of the executions of several accounts, joined into one: for a token of more than one."""

from __future__ import annotations

from collections.abc import Sequence

from flowrunner.model.ids import ExecutionId
from flowrunner.service.views import Page


def joined(pages: Sequence[Page], limit: int) -> Page:
    """Returns the newest executions of some pages, newest first.

    A page may end early, and what follows on it is not known: the joined page ends there, too.

    Args:
        pages: One of each account, all from the same cursor on.
        limit: At most so many.
    """
    ends = [page.next_cursor for page in pages if page.next_cursor is not None]
    oldest = max(ends, default=ExecutionId(""))
    views = sorted(
        (view for page in pages for view in page.items if view.execution.id >= oldest),
        key=lambda view: view.execution.id,
        reverse=True,
    )
    shown = tuple(views[:limit])
    has_more = bool(ends) or len(views) > limit
    return Page(items=shown, next_cursor=shown[-1].execution.id if shown and has_more else None)
