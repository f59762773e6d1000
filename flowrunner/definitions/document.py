"""A definition as read: the plain data, and where each part of it stands in the file.

The data is what the schema and the compiler work on. Beside it stands a tree of the same form, the
shapes, which keeps the parser's own events; they cost nothing until a position is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from flowrunner.dataclass import dataclass
from flowrunner.definitions.codes import Code
from flowrunner.definitions.source import Mark, Position, Source
from flowrunner.model.finding import Finding, Severity, pointer_of
from flowrunner.model.ids import Json

Path = tuple[str | int, ...]
"""Keys and indices from the root to a value."""


class Marked(Protocol):
    """What stands somewhere in the text; with an anchor or a tag it begins there."""

    @property
    def start_mark(self) -> Mark:
        """Where it begins."""


class Leaf(Marked, Protocol):
    """A scalar as the parser reports it."""

    @property
    def end_mark(self) -> Mark:
        """Just behind it."""

    @property
    def value(self) -> str:
        """Its text, escapes and folds undone."""

    @property
    def style(self) -> str | None:
        """One of `'`, `"`, `|`, `>`; empty or None for a plain one."""

    @property
    def tag(self) -> str | None:
        """Its tag, resolved."""

    @property
    def anchor(self) -> str | None:
        """Its anchor."""


@dataclass(slots=True)
class SequenceShape:
    """Where a list begins and where its items stand."""

    start_mark: Mark
    items: list[Shape] = field(default_factory=list)


@dataclass(slots=True)
class MappingShape:
    """Where a mapping begins and where its keys and values stand."""

    start_mark: Mark
    keys: dict[str, Marked] = field(default_factory=dict)
    values: dict[str, Shape] = field(default_factory=dict)


@dataclass(slots=True)
class AliasShape:
    """Where an alias stands and what it stands for."""

    start_mark: Mark
    target: Leaf | SequenceShape | MappingShape


Shape = Leaf | SequenceShape | MappingShape | AliasShape


# The first code point of an escape may be the one it stands for.
_ESCAPES: Mapping[str, str] = {"'": "'", '"': "\\"}


class Document:
    """One YAML document.

    Attributes:
        data: Plain dicts, lists and scalars, keys in the order of the file, at most 50 deep. What
            an alias stands for is the same object as its anchor, so treat all of it as read-only.
    """

    __slots__ = ("_elsewhere", "_remark", "_root", "_source", "data")

    def __init__(self, data: Json, root: Shape, source: Source) -> None:
        self.data = data
        self._root = root
        self._source = source
        self._elsewhere: Mapping[Path, Document] = {}
        self._remark = ""

    def with_elsewhere(self, elsewhere: Mapping[Path, Document], remark: str) -> Document:
        """Returns this document, some values of which stand in another one under the same path.

        Findings about those values, named by the first two parts of their paths, point there, and
        their messages end in the remark.
        """
        found = Document(self.data, self._root, self._source)
        found._elsewhere, found._remark = elsewhere, remark
        return found

    def position(self, path: Path, *, key: bool = False) -> Position:
        """Returns where a value stands, or its key.

        A path that does not exist gives its nearest existing ancestor. Below an alias the position
        is that of the anchored value.
        """
        shape, rest = self._walk(path[:-1] if key else path)
        place: Marked | None = None
        if key and path and not rest:
            place = _key(shape, path[-1])
        return self._source.position((place or shape).start_mark)

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

    def _walk(self, path: Path) -> tuple[Shape, Path]:
        """Returns the deepest shape on a path and the parts that lead nowhere."""
        shape = self._root
        for depth, part in enumerate(path):
            child = _child(shape, part)
            if child is None:
                return shape, path[depth:]
            shape = child
        return shape, ()

    def _leaf(self, path: Path) -> Leaf | None:
        shape, rest = self._walk(path)
        target = shape.target if isinstance(shape, AliasShape) else shape
        if rest or isinstance(target, SequenceShape | MappingShape):
            return None
        return target

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


def _child(shape: Shape, part: str | int) -> Shape | None:
    container = shape.target if isinstance(shape, AliasShape) else shape
    if isinstance(container, MappingShape):
        return container.values.get(part) if isinstance(part, str) else None
    if isinstance(container, SequenceShape) and isinstance(part, int):
        return container.items[part] if 0 <= part < len(container.items) else None
    return None


def _key(shape: Shape, part: str | int) -> Marked | None:
    container = shape.target if isinstance(shape, AliasShape) else shape
    if isinstance(container, MappingShape) and isinstance(part, str):
        return container.keys.get(part)
    return _child(shape, part)
