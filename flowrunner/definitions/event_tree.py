"""Where the parts of a document stand: the parser's events, found by the paths of the data.

A tree of positions is as much work as the data itself, and most documents are asked for one or
two. So the events are kept as they came, and only what a path leads through is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from flowrunner.definitions.source import Mark, Path
from flowrunner.definitions.yaml_events import MappingStartEvent, ScalarEvent


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
        self._known: dict[int, _Parts] = {}

    def walk(self, path: Path) -> tuple[int, Path]:
        """Returns the deepest value on a path and the parts that lead nowhere."""
        at = 0
        for depth, part in enumerate(path):
            found = self._part(at, part)
            if found is None:
                return at, path[depth:]
            at = found[1]
        return at, ()

    def key(self, at: int, part: str | int) -> int:
        """Returns the key of a mapping, or the item of a list; itself if there is no such part."""
        found = self._part(at, part)
        return at if found is None else found[0]

    def mark(self, at: int) -> Mark:
        """Returns where an event begins."""
        mark: Mark = self._events[at].start_mark
        return mark

    def leaf(self, at: int) -> Leaf | None:
        """Returns the scalar that a value is, or that its alias stands for."""
        event: Any = self._events[self._targets.get(at, at)]
        return event if type(event) is ScalarEvent else None

    def _part(self, at: int, part: str | int) -> tuple[int, int] | None:
        """Returns the key and the value of a part of a list or mapping; None if it has none such.

        Looks no further than that part: most is asked of what stands first in a file.
        """
        start = self._targets.get(at, at)
        if start not in self._known:
            still_to_come = _parts(self._events, self._ends, self._targets, start)
            self._known[start] = _Parts(seen={}, rest=still_to_come)
        seen, rest = self._known[start]
        found = seen.get(part)
        if found is None:
            for name, key, value in rest:
                seen[name] = key, value
                if name == part:
                    return key, value
        return found


class _Parts(NamedTuple):
    """The parts of a list or mapping: those looked at by their names, and those still to come."""

    seen: dict[str | int, tuple[int, int]]
    rest: Iterator[tuple[str | int, int, int]]


def _parts(
    events: Sequence[Any], ends: Mapping[int, int], targets: Mapping[int, int], start: int
) -> Iterator[tuple[str | int, int, int]]:
    """Yields name, key and value of each part of a list or mapping; nothing for a scalar.

    A tree keeps what this has still to yield, so it knows no tree: the two would keep each other
    alive, and with them all events of a file, where nobody looks for such garbage.
    """
    steps = _steps(ends, start)
    if isinstance(events[start], MappingStartEvent):
        for key, value in zip(steps, steps, strict=False):
            yield events[targets.get(key, key)].value, key, value
    else:
        for index, step in enumerate(steps):
            yield index, step, step


def _steps(ends: Mapping[int, int], start: int) -> Iterator[int]:
    """Yields what stands directly in a list or mapping."""
    index, end = start + 1, ends.get(start, start)
    while index < end:
        yield index
        index = ends.get(index, index) + 1
