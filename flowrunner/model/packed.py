"""A definition as its text: it is needed seldom, and as objects it takes ten times the memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from flowrunner.model.ids import Json

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class PackedDefinition(Mapping[str, Json]):
    """A definition, unpacked anew by each look at it: use `plain` to look more than once."""

    __slots__ = ("_text",)

    def __init__(self, definition: Mapping[str, Json] | bytes) -> None:
        """Packs a definition, or takes its JSON text without looking into it."""
        if isinstance(definition, bytes):
            # In JSON a line may break only between two values; what follows is indentation.
            self._text = b"".join([line.lstrip(b" ") for line in definition.split(b"\n")])
        else:
            self._text = _ENCODER.encode(plain(definition)).encode(errors="surrogatepass")

    @property
    def text(self) -> bytes:
        """Its JSON text, on one line."""
        return self._text

    def unpacked(self) -> dict[str, Json]:
        """Returns the definition, a new one each time."""
        definition: dict[str, Json] = json.loads(self._text)
        return definition

    def __getitem__(self, key: str) -> Json:
        """Returns one value."""
        return self.unpacked()[key]

    def __iter__(self) -> Iterator[str]:
        """Iterates over the keys, as written."""
        return iter(self.unpacked())

    def __len__(self) -> int:
        """Returns the number of keys."""
        return len(self.unpacked())

    def __eq__(self, other: object) -> bool:
        """Whether it says the same."""
        if isinstance(other, PackedDefinition) and self._text == other._text:
            return True
        return isinstance(other, Mapping) and self.unpacked() == plain(other)

    __hash__ = None  # type: ignore[assignment]  # as of every mapping


def packed_definition(definition: Mapping[str, Json]) -> PackedDefinition:
    """Returns a definition as its text; the same object if it is one."""
    return definition if isinstance(definition, PackedDefinition) else PackedDefinition(definition)


def plain(definition: Mapping[str, Json]) -> dict[str, Json]:
    """Returns a definition as a dictionary of its own."""
    if isinstance(definition, PackedDefinition):
        return definition.unpacked()
    return dict(definition)
