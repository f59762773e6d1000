"""Documents as people write them, read at a glance; nearly all flows are such.

What is recognised: one mapping in block style, of lines that `flowrunner.definitions.plain_lines`
knows. Nothing is refused here: of a text that holds anything else there is no document, and the
parser in C reads it, one event after the other, in about twice as long. What both read is the
same, which a property test holds on to.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from flowrunner.definitions.plain_lines import (
    BRACKETS,
    MOST_COLUMNS,
    NOTHING,
    Line,
    NotPlainError,
    line_of,
)
from flowrunner.definitions.source import Path, Position
from flowrunner.model.ids import Json

_MOST = MOST_COLUMNS
"""Characters of a document, and so fewer values than one may have."""

_DEEPEST = 20
"""Open collections; well below what a document may have together with those in brackets."""


class Block(NamedTuple):
    """Where a collection begins, and each of its parts by itself.

    Attributes:
        start: Of the collection.
        parts: By key or in order; None in brackets, where only the beginning is known.
    """

    start: int
    parts: dict[str, Spot] | list[Spot] | None


Spot: TypeAlias = "int | Block | None"
"""Where a value begins: its row times `MOST_COLUMNS`, and its column. None: not known here."""


class PlainDocument(NamedTuple):
    """What was read, and where the values of it stand."""

    data: dict[str, Json]
    root: Block

    def position(self, path: Path) -> Position | None:
        """Returns where a value begins, or its nearest ancestor that exists; None: unknown here."""
        spot: Spot = self.root
        for part in path:
            if not isinstance(spot, Block):
                break
            if spot.parts is None:
                return None
            known: dict[Any, Spot] = (
                spot.parts if isinstance(spot.parts, dict) else dict(enumerate(spot.parts))
            )
            if part not in known:
                break
            spot = known[part]
        place = spot.start if isinstance(spot, Block) else spot
        if place is None:
            return None
        row, column = divmod(place, MOST_COLUMNS)
        return Position(row + 1, column + 1)


def plain_document(text: str) -> PlainDocument | None:
    """Returns the document that a text plainly is; None if that takes a closer look."""
    if len(text) > _MOST or "\t" in text or "\r" in text or text[-1:] != "\n":
        return None
    try:
        return _Reading(text).document()
    except NotPlainError:
        return None


class _Level:
    """A collection that is open, and the column in which its parts begin.

    Attributes:
        keys_in: That column if it is a mapping, else none.
    """

    __slots__ = ("column", "data", "keys_in", "parts")

    def __init__(self, column: int, data: Any, parts: Any) -> None:
        self.column = column
        self.keys_in = column if type(data) is dict else -1
        self.data = data
        self.parts = parts


class _Reading:
    """One way through the lines of a text."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self._row = 1 if text.startswith("---\n") else 0
        self._root = self._level = _Level(0, {}, {})
        self._pending = ""
        """The key that the lines below may have a value for."""
        self._above: list[_Level] = []

    def document(self) -> PlainDocument:
        """Takes line after line."""
        lines, count, start = self._lines, len(self._lines), -1
        while self._row < count:
            row = self._row
            line = lines[row]
            content = line.lstrip(" ")
            self._row = row + 1
            if not content or content[0] == "#":
                continue
            said = line_of(content)
            if said is None:
                continue
            dash, key, key_at, value, value_at, more = said
            column = len(line) - len(content)
            place = row * MOST_COLUMNS + column
            level = self._level
            if dash or self._pending or column != level.keys_in:  # else it is just the next key
                level = self._level_of(column, place, place + key_at, said)
            spot: Spot = place + value_at
            if more:
                value, spot = self._beyond(said, level, place + value_at)
            if not key:
                level.data.append(value)
                level.parts.append(spot)
            elif key in level.data:
                raise NotPlainError
            else:
                level.data[key] = value
                level.parts[key] = spot
            if start < 0:
                start = place
        if start < 0:
            raise NotPlainError
        return PlainDocument(self._root.data, Block(start, self._root.parts))

    def _level_of(self, column: int, place: int, key_place: int, said: Line) -> _Level:
        """Returns the collection that a line adds to; opens and closes others on the way."""
        is_list = said.dash > 0
        if self._pending:
            self._open(self._pending, column, place, is_list=is_list)
            self._pending = ""
        level = self._level
        if column != level.column or (type(level.data) is list) is not is_list:
            level = self._back_to(column, is_list=is_list)
        return self._item(column + said.dash, key_place) if is_list and said.key else level

    def _beyond(self, said: Line, level: _Level, place: int) -> tuple[Json, Spot]:
        """Returns a value that is more than one on its line, and where it begins."""
        if said.more == NOTHING:
            self._pending = said.key
            return None, None
        if said.more == BRACKETS:
            return said.value, Block(place, None)
        return self._text(level.column, said.more), place

    def _open(self, key: str, column: int, place: int, *, is_list: bool) -> None:
        """Opens what a key holds, if its line is followed by such; it may stand for nothing."""
        level = self._level
        if column > level.column or (is_list and column == level.column):
            inner = _Level(column, [], []) if is_list else _Level(column, {}, {})
            level.data[key] = inner.data
            level.parts[key] = Block(place, inner.parts)
            self._push(inner)

    def _item(self, column: int, start: int) -> _Level:
        """Opens the mapping that an item of a list is."""
        inner = _Level(column, {}, {})
        self._level.data.append(inner.data)
        self._level.parts.append(Block(start, inner.parts))
        self._push(inner)
        return inner

    def _push(self, inner: _Level) -> None:
        if len(self._above) == _DEEPEST:
            raise NotPlainError
        self._above.append(self._level)
        self._level = inner

    def _back_to(self, column: int, *, is_list: bool) -> _Level:
        """Closes what ends with a line; a list may stand in the column of what holds it."""
        level, above = self._level, self._above
        while above and (column < level.column or (type(level.data) is list and not is_list)):
            level = above.pop()
        if column != level.column or (type(level.data) is list) is not is_list:
            raise NotPlainError
        self._level = level
        return level

    def _text(self, column: int, header: str) -> str:
        """Returns a text of several lines, which stand deeper than the column."""
        lines, row, count = self._lines, self._row, len(self._lines)
        first = lines[row] if row < count else ""
        indent = len(first) - len(first.lstrip(" "))
        if indent <= column or indent == len(first):
            raise NotPlainError
        pad, found = first[:indent], []
        while row < count and (lines[row].startswith(pad) or not lines[row]):
            found.append(lines[row][indent:])
            row += 1
        if row == count:  # the text ends in a line break, after which there is no line
            found.pop()
        self._row = row
        body = "\n".join(found)
        if " \n" in body or body[-1:] == " ":
            raise NotPlainError
        body = body.rstrip("\n")
        if header[0] == ">":
            if "\n\n" in body or "\n " in body:  # not joined by a space alone
                raise NotPlainError
            body = body.replace("\n", " ")
        return body if header[-1] == "-" else body + "\n"
