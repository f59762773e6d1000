"""The logs of an execution, read page by page, and followed while it goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from flowrunner.cli.client import address
from flowrunner.cli.text import safe_line
from flowrunner.model.ids import Json

_WAIT_S = 2
"""Seconds for which the daemon may hold an answer back while there is nothing new."""

_BUSY_LINES, _BUSY_CHARACTERS = 500, 500_000
"""A page with so much was probably cut: the next one is asked for at once."""

REMOVED = (
    "the logs of this execution were removed: the settings engine.retention_log_bytes and "
    "engine.retention_age bound what is kept"
)
_OF_CHUNK = ("node", "item_index", "attempt")
_ZONE = re.compile("Z$")


class Client(Protocol):
    """Gets documents of the API, as `ControlClient` and `PatientClient` do."""

    def get(self, path: str, query: Mapping[str, str | int | None] | None = None) -> Json:
        """Returns what is at an address."""


class Line(NamedTuple):
    """A line with what it belongs to; `document` is the line for programs."""

    node: str
    item: int | None
    attempt: int
    at: str
    stream: str
    text: str
    document: Json

    @property
    def name(self) -> str:
        """The node, with the index of the item behind it."""
        return self.node if self.item is None else f"{self.node}.{self.item}"


def read_lines(
    client: Client,
    execution_id: str,
    *,
    node: str | None = None,
    item: int | None = None,
    follow: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Line]:
    """Yields the lines in the order of their times, as far as each page reaches.

    Args:
        client: The daemon.
        execution_id: The execution.
        node: Only lines of this node.
        item: Only those of its item with this index.
        follow: Go on until the execution has ended; else the lines end with what is there now.
        tell: Learns that there are no lines any more.

    Raises:
        FlowError: As `ControlClient.get`.
    """
    path = address("api", "v1", "executions", execution_id, "logs")
    cursor: str | None = None
    wait: int | None = None
    while True:
        page = client.get(path, {"node": node, "item": item, "cursor": cursor, "wait": wait})
        lines = _lines_of(page)
        yield from lines
        if page.get("removed"):
            tell(REMOVED)
        cursor = page["next_cursor"]
        if page["complete"] or not (follow or lines):
            return
        wait = _WAIT_S if follow and not _is_busy(lines) else None


def plain(line: Line, *, with_node: bool, terminal: bool) -> str:
    """Returns a line as it was printed, behind the name of its node, with the item's index."""
    text = safe_line(line.text) if terminal else line.text
    return f"{line.name}: {text}" if with_node else text


def stamped(line: Line, *, terminal: bool) -> str:
    """Returns a line behind its time, node, item, attempt and stream."""
    text = safe_line(line.text) if terminal else line.text
    return f"{line.at} {line.name}.{line.attempt} {line.stream} {text}"


def _is_busy(lines: list[Line]) -> bool:
    return len(lines) >= _BUSY_LINES or sum(len(line.text) for line in lines) >= _BUSY_CHARACTERS


def _lines_of(page: Json) -> list[Line]:
    lines = [
        Line(
            node=chunk["node"],
            item=chunk["item_index"],
            attempt=chunk["attempt"],
            at=line["at"],
            stream=line["stream"],
            text=line["text"],
            document={**{key: chunk[key] for key in _OF_CHUNK}, **line},
        )
        for chunk in page["chunks"]
        for line in chunk["lines"]
    ]
    # Without the zone, since `12:00:00Z` would come after `12:00:00.5Z`.
    return sorted(lines, key=lambda line: _ZONE.sub("", line.at))
