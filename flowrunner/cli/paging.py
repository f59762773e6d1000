"""Lists that the daemon gives page by page."""

from __future__ import annotations

from collections.abc import Mapping

from flowrunner.cli.client import ControlClient
from flowrunner.model.ids import Json

_PAGE = 1_000
"""Items asked for at once; the most that the daemon gives."""


def read_list(
    client: ControlClient,
    path: str,
    query: Mapping[str, str | int | None],
    *,
    limit: int | None = None,
    start: str | None = None,
) -> tuple[list[Json], str | None]:
    """Returns the items of a list, at most `limit`, and the cursor of what was left out.

    Args:
        client: The daemon.
        path: The address of the list.
        query: Parameters besides the two of the pages.
        limit: The most items; None for all.
        start: The cursor to begin at.

    Raises:
        FlowError: As `ControlClient.get`.
    """
    items: list[Json] = []
    cursor = start
    while True:
        size = _PAGE if limit is None else min(limit - len(items), _PAGE)
        page = client.get(path, {**query, "limit": size, "cursor": cursor})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(items) >= limit):
            return items, cursor
