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
) -> tuple[list[Json], str | None]:
    """Returns the items of a list, at most `limit`, and the cursor of what was left out.

    Raises:
        FlowError: As `ControlClient.get`.
    """
    items: list[Json] = []
    cursor: str | None = None
    while True:
        size = _PAGE if limit is None else min(limit - len(items), _PAGE)
        page = client.get(path, {**query, "limit": size, "cursor": cursor})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or (limit is not None and len(items) >= limit):
            return items, cursor
