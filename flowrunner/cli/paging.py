"""Lists that the daemon gives page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowrunner.cli.client import ControlClient
from flowrunner.model.ids import Json

_PAGE = 1_000
"""Items asked for at once; the most that the daemon gives."""


def all_items(
    client: ControlClient,
    path: str,
    query: Mapping[str, str | int | None],
    *,
    limit: int | None = None,
) -> Iterator[Json]:
    """Yields the items of a list, at most `limit`; asks for a page when it is needed."""
    cursor: str | None = None
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = client.get(path, {**query, "limit": size, "cursor": cursor})
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
        if left is not None:
            left -= len(page["items"])
