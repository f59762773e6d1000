"""A definition as its text: it is needed seldom, and as objects it takes ten times the memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from flowrunner.model.ids import Json
from flowrunner.model.json_text import encoder

_ENCODE = encoder(ensure_ascii=False)
_SPACED = encoder(separators=(", ", ": "), ensure_ascii=False, allow_nan=False)


class PackedDefinition(Mapping[str, Json]):
    """A definition, unpacked anew by each look at it: use `plain` to look more than once."""

    __slots__ = ("_text",)

    def __init__(self, definition: Mapping[str, Json] | bytes, *, keep_lines: bool = False) -> None:
        """Packs a definition, or takes its JSON text without looking into it.

        With `keep_lines` that is a text by `laid_out`, for whoever is about to write it down.
        """
        if isinstance(definition, bytes) and keep_lines:
            self._text = definition
        elif isinstance(definition, bytes):
            # In JSON a line may break only between two values; what follows is indentation.
            self._text = b"".join([line.lstrip(b" ") for line in definition.split(b"\n")])
        else:
            self._text = _ENCODE(plain(definition)).encode(errors="surrogatepass")

    @property
    def lines(self) -> bytes:
        """Its text as `laid_out` has it; empty if it does not keep that."""
        return self._text if b"\n" in self._text else b""

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


def laid_out(definition: Mapping[str, Json]) -> bytes:
    """Returns a definition as text for persons: a line for each key, and each node and trigger.

    An encoder that indents everything is written in Python and takes three times as long.

    Raises:
        ValueError: It holds what is no JSON.
    """
    if isinstance(definition, PackedDefinition) and definition.lines:
        return definition.lines
    lines = (f"{_SPACED(key)}: {_of_key(value)}" for key, value in plain(definition).items())
    text = "{\n    " + ",\n    ".join(lines) + "\n  }"
    return text.encode(errors="surrogatepass")  # as `json.loads` reads


def _of_key(value: Json) -> str:
    if isinstance(value, list) and len(value) > 1:
        return "[\n      " + ",\n      ".join(map(_SPACED, value)) + "\n    ]"
    return _SPACED(value)


def plain(definition: Mapping[str, Json]) -> dict[str, Json]:
    """Returns a definition as a dictionary of its own."""
    if isinstance(definition, PackedDefinition):
        return definition.unpacked()
    return dict(definition)
