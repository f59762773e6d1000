"""The collections that are open while a document is built.

They belong to `flowrunner.definitions.yaml_composer`, which keeps one for each level.
"""

from __future__ import annotations

from flowrunner.definitions.document import (
    Leaf,
    MappingShape,
    Marked,
    Path,
    SequenceShape,
    Shape,
)
from flowrunner.definitions.source import Mark
from flowrunner.model.ids import Json


class Anchor:
    """What an alias stands for. `size` is in nodes; 0 as long as the collection is open."""

    __slots__ = ("before", "data", "height", "shape", "size")

    def __init__(
        self, data: Json, shape: Leaf | SequenceShape | MappingShape, before: int, size: int = 0
    ) -> None:
        self.data = data
        self.shape = shape
        self.before = before
        self.size = size
        self.height = 0


class SequenceFrame:
    """An open list. `height` is the depth of what it holds so far."""

    __slots__ = ("anchor", "data", "height", "shape")

    awaits_key = False

    def __init__(self, start: Mark) -> None:
        self.data: list[Json] = []
        self.shape = SequenceShape(start)
        self.height = 0
        self.anchor: Anchor | None = None

    @property
    def step(self) -> Path:
        """The part of a path that leads to what comes next."""
        return (len(self.data),)

    def add(self, value: Json, shape: Shape) -> None:
        """Takes the next item."""
        self.data.append(value)
        self.shape.items.append(shape)


class MappingFrame:
    """An open mapping. `height` is the depth of what it holds so far."""

    __slots__ = ("anchor", "awaits_key", "data", "height", "key", "shape")

    def __init__(self, start: Mark) -> None:
        self.data: dict[str, Json] = {}
        self.shape = MappingShape(start)
        self.height = 0
        self.anchor: Anchor | None = None
        self.awaits_key = True
        self.key = ""

    @property
    def step(self) -> Path:
        """The part of a path that leads to what comes next."""
        return () if self.awaits_key else (self.key,)

    def take_key(self, key: str, place: Marked) -> None:
        """Takes the next key, which must be new."""
        self.key = key
        self.shape.keys[key] = place
        self.awaits_key = False

    def add(self, value: Json, shape: Shape) -> None:
        """Takes the value of the key taken before."""
        self.data[self.key] = value
        self.shape.values[self.key] = shape
        self.awaits_key = True


Frame = SequenceFrame | MappingFrame
