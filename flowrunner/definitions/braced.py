"""The texts of a definition that hold a brace: all expressions, and what only looks like one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from flowrunner.definitions.source import Path
from flowrunner.model.ids import Json

Braced: TypeAlias = tuple[Path, str]
"""A text, and the way to it."""


def braced_texts(data: Mapping[str, Json] | list[Json]) -> list[Braced]:
    """Returns the texts that hold `{`, in their order."""
    found: list[tuple[list[str | int], str]] = []
    _collect(data, found)
    return [(tuple(reversed(steps)), text) for steps, text in found]


def _collect(value: Json, found: list[tuple[list[str | int], str]]) -> None:
    """Adds the texts below a list or mapping, each with the steps back from it.

    Everything of every flow passes here, so nothing is made for what is not found.
    """
    items = value.items() if type(value) is dict else enumerate(value)
    for part, item in items:
        kind = type(item)
        if kind is str:
            if "{" in item:
                found.append(([part], item))
        elif kind is dict or kind is list:
            before = len(found)
            _collect(item, found)
            for steps, _ in found[before:]:
                steps.append(part)
