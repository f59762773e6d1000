"""Values cut to a size that can be read, and the bounds of what one answer may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

from flowrunner.model.ids import Json
from flowrunner.model.secret import MASK, SecretValue
from flowrunner.model.trace import Shown

VALUE_LIMIT = 1_000
"""Characters of one value that are shown."""

MEMBER_LIMIT = 250
"""Characters of one text in a list or map, so that it leaves room for the others."""

NODE_LIMIT = 20_000
"""Characters of all values of one node; of those behind it only `LEAST` each."""

LEAST = 40

PAGE_WORK = 32 * 1024**2
"""Characters that the expressions of one page may handle: as two of the dearest ones."""

PAGE_LIMIT = 2 * 1024**2
"""Characters of texts and values after which a page ends."""

_DEEPEST = 20
"""Levels of lists and maps that are shown."""

_SCALAR = 8
"""Characters that anything but a text counts as."""

_CUT = "…"


class Budget:
    """What is left of a page; a node that has begun is traced to its end in any case."""

    def __init__(self) -> None:
        self._work = PAGE_WORK
        self._room = PAGE_LIMIT

    @property
    def is_spent(self) -> bool:
        """Whether no further node may begin."""
        return self._work <= 0 or self._room <= 0

    @property
    def may_work(self) -> bool:
        """Whether another expression may be evaluated."""
        return self._work > 0

    def spend(self, *, work: int = 0, room: int = 0) -> None:
        """Counts what was handled by expressions, and what was written."""
        self._work -= work
        self._room -= room


class Shelf:
    """The room that the values of one node have."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._left = NODE_LIMIT

    def note(self, text: str) -> str:
        """Counts a text that is bounded already, and returns it."""
        self._budget.spend(room=len(text))
        return text

    def show(self, value: Json) -> Shown:
        """Returns a value as far as there is room for it; never more work than that."""
        most = max(LEAST, min(VALUE_LIMIT, self._left))
        cutter = _Cutter(most)
        copy = cutter.copy(value, _DEEPEST)
        used = most - cutter.left
        self._left -= used
        self._budget.spend(room=used)
        return Shown(value=copy, is_cut=cutter.has_cut)


class _Cutter:
    """Copies a value until its room is used up."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.has_cut = False

    def copy(self, value: Json, depth: int) -> Json:
        """Returns a copy; what has no room is left out."""
        if isinstance(value, SecretValue):
            self.left -= len(MASK)
            return MASK
        if isinstance(value, str):
            return self._text(value, VALUE_LIMIT if depth == _DEEPEST else MEMBER_LIMIT)
        if isinstance(value, Mapping):
            return self._map(value, depth)
        if isinstance(value, list | tuple):
            return self._list(value, depth)
        self.left -= _SCALAR
        is_endless = isinstance(value, float) and not math.isfinite(value)
        return str(value) if is_endless else value  # JSON has no infinity

    def _text(self, text: str, most: int) -> str:
        room = max(0, min(self.left, most))
        self.left -= min(len(text), room)
        return text if len(text) <= room else self._cut(text[:room])

    def _cut(self, text: str) -> str:
        self.has_cut = True
        return text + _CUT

    def _map(self, value: Mapping[str, Json], depth: int) -> Json:
        if not depth and value:
            return self._cut("")
        copy: dict[str, Json] = {}
        for key, item in value.items():
            if self.left <= 0:
                self.has_cut = True
                break
            name = self._text(key, MEMBER_LIMIT)
            copy[name] = self.copy(item, depth - 1)
        return copy

    def _list(self, value: list[Json] | tuple[Json, ...], depth: int) -> Json:
        if not depth and value:
            return self._cut("")
        copy: list[Json] = []
        for item in value:
            if self.left <= 0:
                self.has_cut = True
                break
            self.left -= 1
            copy.append(self.copy(item, depth - 1))
        return copy
