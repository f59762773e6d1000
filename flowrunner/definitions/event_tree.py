"""Where the parts of a document stand: the parser's events, found by the paths of the data.

A tree of positions is as much work as the data itself, and most documents are asked for one or
two. So the events are kept as they came, and only what a path leads through is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from flowrunner.definitions.source import Mark
from flowrunner.definitions.yaml_events import MappingStartEvent, ScalarEvent

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


class EventTree:
    """The events of one document. An event goes by its index; that of the root is 0.

    Args:
        events: Of all keys and values, in order; a list or mapping has one at its end too.
        ends: Index of the beginning of a list or mapping → that of its end.
        targets: Index of an alias → that of what it stands for.
    """

    def __init__(
        self, events: Sequence[Any], ends: Mapping[int, int], targets: Mapping[int, int]
    ) -> None:
        self._events = events
        self._ends = ends
        self._targets = targets
        self._known: dict[int, dict[str | int, tuple[int, int]]] = {}

    def walk(self, path: Path) -> tuple[int, Path]:
        """Returns the deepest value on a path and the parts that lead nowhere."""
        at = 0
        for depth, part in enumerate(path):
            found = self._children(at).get(part)
            if found is None:
                return at, path[depth:]
            at = found[1]
        return at, ()

    def key(self, at: int, part: str | int) -> int:
        """Returns the key of a mapping, or the item of a list; itself if there is no such part."""
        return self._children(at).get(part, (at, at))[0]

    def mark(self, at: int) -> Mark:
        """Returns where an event begins."""
        mark: Mark = self._events[at].start_mark
        return mark

    def leaf(self, at: int) -> Leaf | None:
        """Returns the scalar that a value is, or that its alias stands for."""
        event: Any = self._events[self._targets.get(at, at)]
        return event if type(event) is ScalarEvent else None

    def _children(self, at: int) -> dict[str | int, tuple[int, int]]:
        """Returns the key and the value of each part of a list or mapping; none of a scalar."""
        start = self._targets.get(at, at)
        if start not in self._known:
            steps = list(self._steps(start))
            self._known[start] = (
                {
                    self._text(key): (key, value)
                    for key, value in zip(steps[::2], steps[1::2], strict=False)
                }
                if isinstance(self._events[start], MappingStartEvent)
                else {index: (step, step) for index, step in enumerate(steps)}
            )
        return self._known[start]

    def _steps(self, start: int) -> Iterator[int]:
        """Yields what stands directly in a list or mapping."""
        index, end = start + 1, self._ends.get(start, start)
        while index < end:
            yield index
            index = self._ends.get(index, index) + 1

    def _text(self, key: int) -> str:
        text: str = self._events[self._targets.get(key, key)].value
        return text
