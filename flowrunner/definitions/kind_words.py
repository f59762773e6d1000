"""The kinds of values as the pages call them: map, list, text, number.

JSON Schema says object, array and string, and so does the `type` of an input, where these words
are quoted as they are. Everywhere else a person reads the words of here.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowrunner.model.ids import Json

_WORDS = {
    "object": "a map",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "a boolean",
    "null": "null",
}


def wanted_words(types: Sequence[str]) -> str:
    """Returns the types of a schema as a choice: `a text, a number or a boolean`."""
    kinds = [kind for kind in types if not (kind == "integer" and "number" in types)]
    *most, last = (_WORDS[kind] for kind in kinds)
    return f"{', '.join(most)} or {last}" if most else last


def found_words(value: Json, types: Sequence[str] = ()) -> str:
    """Returns what a value is: `a list`; of a fraction that, where a whole number is wanted."""
    if isinstance(value, float) and "integer" in types and "number" not in types:
        return "a fraction"
    if value is None:
        return _WORDS["null"]
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return _WORDS[names.get(type(value), "object")]
