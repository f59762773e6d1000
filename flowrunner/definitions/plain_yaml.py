"""Documents as people write them, read at a glance; nearly all flows are such.

What is recognised: one mapping in block style, of lines that `flowrunner.definitions.plain_lines`
knows. Nothing is refused here: of a text that holds anything else there is no document, and the
parser in C reads it, one event after the other, in about twice as long. What both read is the
same, which a property test holds on to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from flowrunner.definitions.braced import Braced
from flowrunner.definitions.plain_lines import (
    BRACKETS,
    MOST_COLUMNS,
    MOST_KEPT,
    NOTHING,
    Line,
    NotPlainError,
    line_of,
    long_line_of,
)
from flowrunner.definitions.source import Path, Position, Source
from flowrunner.model.ids import Json

_MOST = MOST_COLUMNS
"""Characters of a document, and so fewer values than one may have."""

_DEEPEST = 20
"""Open collections; well below what a document may have together with those in brackets."""

_NEW = tuple.__new__


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
    """What was read, and where the values of it stand.

    Attributes:
        braced: The texts that hold `{`, in their order.
    """

    data: dict[str, Json]
    root: Block
    braced: list[Braced]

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


def plain_document(source: Source) -> PlainDocument | None:
    """Returns the document that a text plainly is; None if that takes a closer look."""
    text = source.text
    if len(text) > _MOST or "\t" in text or "\r" in text or text[-1:] != "\n":
        return None
    try:
        return _Reading(source.lines).document()
    except NotPlainError:
        return None


class _Level:
    """A collection that is open, and the column in which its parts begin.

    Attributes:
        keys_in: That column if it is a mapping, else none.
        path: The way to it.
    """

    __slots__ = ("column", "data", "keys_in", "parts", "path")

    def __init__(self, column: int, keys_in: int, path: Path, data: Any, parts: Any) -> None:
        self.column = column
        self.keys_in = keys_in
        self.path = path
        self.data = data
        self.parts = parts


class _Reading:
    """One way through the lines of a text."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._row = 1 if lines[0] == "---" else 0
        # The first key of the root is looked at more closely: with it all begins.
        self._root = self._level = _Level(0, -1, (), {}, {})
        self._start = -1
        self._pending = ""
        """The key that the lines below may have a value for."""
        self._above: list[_Level] = []
        self._braced: list[Braced] = []

    def document(self) -> PlainDocument:
        """Takes line after line."""
        lines, count = self._lines, len(self._lines)
        while self._row < count:
            row = self._row
            line = lines[row]
            content = line.lstrip(" ")
            self._row = row + 1
            if not content or content[0] == "#":
                continue
            said = line_of(content) if len(content) <= MOST_KEPT else long_line_of(content)
            if said is None:
                continue
            dash, key, key_at, value, value_at, more, braced = said
            column = len(line) - len(content)
            place = row * MOST_COLUMNS + column
            level = self._level
            if dash or self._pending or column != level.keys_in:  # else it is just the next key
                level = self._level_of(column, place, place + key_at, said)
            spot: Spot = place + value_at
            if more:
                value, spot = self._beyond(said, level, place + value_at)
            if braced:
                self._note(level, key, value, braced)
            if not key:
                level.data.append(value)
                level.parts.append(spot)
            elif key in level.data:
                raise NotPlainError
            else:
                level.data[key] = value
                level.parts[key] = spot
        if self._start < 0:
            raise NotPlainError
        return PlainDocument(self._root.data, Block(self._start, self._root.parts), self._braced)

    def _level_of(self, column: int, place: int, key_place: int, said: Line) -> _Level:
        """Returns the collection that a line adds to; opens and closes others on the way."""
        dash, level = said.dash, self._level
        if self._start < 0:
            self._start, level.keys_in = place, 0
        if self._pending:
            level = self._below(level, column, place, said)
        if column != level.column or (level.keys_in < 0) is not (dash > 0):
            level = self._back_to(column, is_list=dash > 0)
        if not dash or not said.key:
            return level
        inside = column + dash
        inner = _Level(inside, inside, (*level.path, len(level.data)), {}, {})
        level.data.append(inner.data)
        level.parts.append(_NEW(Block, (key_place, inner.parts)))
        return self._entered(inner)

    def _below(self, level: _Level, column: int, place: int, said: Line) -> _Level:
        """Opens what the key above holds, if a line is deeper; else that stands for nothing."""
        key, self._pending = self._pending, ""
        if column <= level.column and not (said.dash and column == level.column):
            return level
        way = (*level.path, key)
        inner = (
            _Level(column, -1, way, [], []) if said.dash else _Level(column, column, way, {}, {})
        )
        level.data[key] = inner.data
        level.parts[key] = _NEW(Block, (place, inner.parts))
        return self._entered(inner)

    def _entered(self, inner: _Level) -> _Level:
        if len(self._above) == _DEEPEST:
            raise NotPlainError
        self._above.append(self._level)
        self._level = inner
        return inner

    def _back_to(self, column: int, *, is_list: bool) -> _Level:
        """Closes what ends with a line; a list may stand in the column of what holds it."""
        level, above = self._level, self._above
        while above and (column < level.column or (level.keys_in < 0 and not is_list)):
            level = above.pop()
        if column != level.column or (level.keys_in < 0) is not is_list:
            raise NotPlainError
        self._level = level
        return level

    def _beyond(self, said: Line, level: _Level, place: int) -> tuple[Json, Spot]:
        """Returns a value that is more than one on its line, and where it begins."""
        if said.more == NOTHING:
            self._pending = said.key
            return None, None
        if said.more == BRACKETS:
            return said.value, _NEW(Block, (place, None))
        text = self._text(level.column, said.more)
        if "{" in text:
            self._note(level, said.key, text, True)
        return text, place

    def _note(
        self,
        level: _Level,
        key: str,
        value: Json,
        braced: Iterable[Braced] | bool,  # noqa: FBT001 - by place, hot path
    ) -> None:
        """Takes note of the texts with a brace in a value that is added to a collection."""
        way = (*level.path, key or len(level.data))
        if braced is True:
            self._braced.append((way, value))
        elif braced:
            self._braced += [((*way, *rest), text) for rest, text in braced]

    def _text(self, column: int, header: str) -> str:
        """Returns a text of several lines, which stand deeper than the column."""
        lines, row, count = self._lines, self._row, len(self._lines)
        first = lines[row] if row < count else ""
        indent = len(first) - len(first.lstrip(" "))
        if indent <= column or indent == len(first):
            raise NotPlainError
        pad, start = first[:indent], row
        while row < count and (lines[row].startswith(pad) or not lines[row]):
            row += 1
        self._row = row
        end = row - 1 if row == count else row  # after the last line break there is no line
        body = "\n".join(lines[start:end])[indent:].replace("\n" + pad, "\n")
        if " \n" in body or body[-1:] == " ":
            raise NotPlainError
        body = body.rstrip("\n")
        if header[0] == ">":
            if "\n\n" in body or "\n " in body:  # not joined by a space alone
                raise NotPlainError
            body = body.replace("\n", " ")
        return body if header[-1] == "-" else body + "\n"
