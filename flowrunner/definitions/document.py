"""A definition as read: the plain data, and where each part of it stands in the file.

The data is what the schema and the compiler work on. Beside it stand the parser's own events, which
cost nothing until a position is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from flowrunner.definitions.braced import Braced, braced_texts
from flowrunner.definitions.codes import Code
from flowrunner.definitions.source import Path, Position, Source
from flowrunner.model.finding import Finding, Severity, pointer_of
from flowrunner.model.ids import Json

if TYPE_CHECKING:  # else every start would load a parser, which plain documents do without
    from flowrunner.definitions.event_tree import EventTree, Leaf

__all__ = ["Document", "Path"]

# The first code point of an escape may be the one it stands for.
_ESCAPES: Mapping[str, str] = {"'": "'", '"': "\\"}


class Places(Protocol):
    """Knows where values stand without the events of a document."""

    @property
    def braced(self) -> list[Braced]:
        """The texts that hold `{`, in their order."""

    def position(self, path: Path) -> Position | None:
        """Returns where a value begins, or its nearest ancestor that exists; None: unknown here."""


class Document:
    """One YAML document.

    Args:
        data: As the attribute.
        source: Its text.
        make_tree: Makes the events, when something is asked for that only they tell.
        places: Tells most positions without them; None: there are events already.

    Attributes:
        data: Plain dicts, lists and scalars, keys in the order of the file, at most 50 deep. What
            an alias stands for is the same object as its anchor, and what stands in brackets may be
            the same in another document, so treat all of it as read-only.
    """

    def __init__(
        self,
        data: Json,
        source: Source,
        make_tree: Callable[[], EventTree],
        places: Places | None = None,
    ) -> None:
        self.data = data
        self._make_tree = make_tree
        self._places = places
        self._source = source
        self._elsewhere: Mapping[Path, Document] = {}
        self._remark = ""

    def with_elsewhere(self, elsewhere: Mapping[Path, Document], remark: str) -> Document:
        """Returns this document, some values of which stand in another one under the same path.

        Findings about those values, named by the first two parts of their paths, point there, and
        their messages end in the remark.
        """
        found = Document(self.data, self._source, lambda: self._tree, self._places)
        found._elsewhere, found._remark = elsewhere, remark
        return found

    def braced_in(self, data: Mapping[str, Json]) -> list[Braced]:
        """Returns the texts of some data that hold `{`; at hand for what was read."""
        if self._places is not None and data == self.data:  # equal parts are mostly the same ones
            return self._places.braced
        return braced_texts(data)

    def position(self, path: Path, *, key: bool = False) -> Position:
        """Returns where a value stands, or its key.

        A path that does not exist gives its nearest existing ancestor. Below an alias the position
        is that of the anchored value.
        """
        if not key and self._places is not None:
            position = self._places.position(path)
            if position is not None:
                return position
        place, rest = self._tree.walk(path[:-1] if key else path)
        if key and path and not rest:
            place = self._tree.key(place, path[-1])
        return self._source.position(self._tree.mark(place))

    def source_text(self, path: Path) -> str | None:
        """Returns how a value that is no text was written (`1.10`, `True`), else None.

        Null without a word gives an empty string.
        """
        leaf = self._leaf(path)
        if leaf is None:
            return None
        value = self.data
        for part in path:
            value = value[part]
        return None if isinstance(value, str) else leaf.value

    def locate(self, path: Path, offset: int) -> Position:
        """Returns where the offset-th code point (from 0) of a text stands.

        Exact in literal blocks (`|`), and in plain and quoted scalars up to the first escape or
        line break; otherwise, and for a value with an anchor or a tag, the start of the value.
        """
        leaf = self._leaf(path)
        if leaf is None:
            return self.position(path)
        exact = None
        if not (leaf.anchor or leaf.tag) and 0 <= offset <= len(leaf.value):
            inside = self._in_literal_block if leaf.style == "|" else self._in_line
            exact = inside(leaf, offset)
        return exact or self._source.position(leaf.start_mark)

    @property
    def file(self) -> str:
        """The path for findings."""
        return self._source.file

    @property
    def text(self) -> str:
        """What it was read from, without a byte order mark."""
        return self._source.text

    def excerpt(self, line: int) -> str:
        """Returns a source line by its number from 1, cut at 400 code points."""
        return self._source.excerpt(line)

    def finding(
        self,
        code: Code,
        message: str,
        *,
        path: Path = (),
        key: bool = False,
        offset: int | None = None,
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Finding:
        """Returns a finding about a value, its key, or a code point of its text."""
        other = self._elsewhere.get(path[:2])
        if other is not None:
            text = f"{message}, {self._remark}"
            return other.finding(
                code, text, path=path, key=key, offset=offset, hint=hint, severity=severity
            )
        position = self.position(path, key=key) if offset is None else self.locate(path, offset)
        return self._source.finding(
            code, message, position, pointer=pointer_of(path), hint=hint, severity=severity
        )

    @cached_property
    def _tree(self) -> EventTree:
        return self._make_tree()

    def _leaf(self, path: Path) -> Leaf | None:
        place, rest = self._tree.walk(path)
        return None if rest else self._tree.leaf(place)

    def _in_line(self, leaf: Leaf, offset: int) -> Position | None:
        quote = 1 if leaf.style in {"'", '"'} else 0
        start = leaf.start_mark.index + quote
        # A fold drops the spaces before it: only the code point itself proves that none is passed.
        folds = leaf.start_mark.line != leaf.end_mark.line
        before = leaf.value[: offset + 1 if folds else offset]
        escape = _ESCAPES.get(leaf.style or "", "\n")
        if "\n" in before or escape in before or not self._source.text.startswith(before, start):
            return None
        return Position(leaf.start_mark.line + 1, leaf.start_mark.column + quote + offset + 1)

    def _in_literal_block(self, leaf: Leaf, offset: int) -> Position | None:
        before = leaf.value[:offset].split("\n")
        number = len(before) - 1
        content = leaf.value.split("\n")[number]
        row = leaf.start_mark.line + 1 + number
        line = self._source.lines[row] if row < len(self._source.lines) else ""
        # The end of the text may lie on a line that is no longer part of the block.
        if not line.endswith(content) or (not content and line.strip()):
            return None
        return Position(row + 1, len(line) - len(content) + len(before[-1]) + 1)
