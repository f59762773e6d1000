"""How deep data may be nested: whatever enters must still be readable by all that comes after.

Python's JSON encoder recurses, so data that is nested close to its limit could be taken in and
never be told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowrunner.model.ids import Json

_LEAVES = (str, int, float, type(None))
_MAPPINGS = (dict, Mapping)
_CONTAINERS = (dict, list, tuple, Mapping)
"""The usual types first: to ask whether something is a `Mapping` takes ten times as long."""

DATA_DEPTH = 100
"""Levels of lists and maps in inputs, in outputs and in what `from_json` reads."""

TOO_DEEP = f"is nested deeper than {DATA_DEPTH} levels"


def is_deeper(value: Json, limit: int = DATA_DEPTH) -> bool:
    """Whether lists and maps nest deeper than `limit`; goes level by level, without recursion."""
    level = _containers([value])
    for _ in range(limit):
        if not level:
            return False
        level = _containers(item for container in level for item in _items(container))
    return bool(level)


def _containers(values: Iterable[Json]) -> list[Json]:
    return [
        value
        for value in values
        if not isinstance(value, _LEAVES) and isinstance(value, _CONTAINERS)
    ]


def _items(container: Json) -> Iterable[Json]:
    return container.values() if isinstance(container, _MAPPINGS) else container
