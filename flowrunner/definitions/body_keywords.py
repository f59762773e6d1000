"""The JSON Schema of `schema` of a webhook: the subset of JSON Schema that a body is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowrunner.definitions.schema_parts import described
from flowrunner.model.body_schema import BODY_TYPES, BodySchema
from flowrunner.model.formats import TextFormat
from flowrunner.model.ids import Json
from flowrunner.model.patterns import parse_pattern

SUITED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("minimum", "maximum"), frozenset({"integer", "number"})),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), frozenset({"string"})),
    **dict.fromkeys(("items", "minItems", "maxItems"), frozenset({"array"})),
    **dict.fromkeys(("properties", "required", "additionalProperties"), frozenset({"object"})),
}
"""Keyword → the types on which it has an effect."""

_REF = {"$ref": "#/$defs/body"}
_COUNT = {"type": "integer", "minimum": 0}


def body_keywords() -> dict[str, Any]:
    """Returns the schema of a schema."""
    return {
        **described("What the body must be; others are answered 422.", {"type": "object"}),
        "x-kind": "schema",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "type": {
                **described("Type of the value, or several.", "object"),
                "type": ["string", "array"],
                "minItems": 1,
                "uniqueItems": True,
                "items": {"enum": [*BODY_TYPES]},
                "if": {"type": "string"},
                "then": {"enum": [*BODY_TYPES]},
            },
            "description": described("For people.", "A push.", type="string"),
            "enum": described("The allowed values.", ["a", 1, None], type="array", minItems=1),
            "minimum": described("Smallest number.", 0, type="number"),
            "maximum": described("Largest number.", 100, type="number"),
            "minLength": described("Fewest characters of a text.", 1, **_COUNT),
            "maxLength": described("Most characters of a text.", 100, **_COUNT),
            "pattern": described(
                "Regular expression that must be found in a text; linear time, so without looking "
                "around and back references.",
                "^refs/heads/",
                type="string",
            ),
            "format": described(
                "What a text must be.", "date", enum=[str(member) for member in TextFormat]
            ),
            "items": {**_REF, "examples": [{"type": "string"}]},
            "minItems": described("Fewest items of a list.", 1, **_COUNT),
            "maxItems": described("Most items of a list.", 100, **_COUNT),
            "properties": described(
                "What the values of a map must be, by key.",
                {"ref": {"type": "string"}},
                type="object",
                additionalProperties=_REF,
            ),
            "required": described(
                "Keys that a map must have.",
                ["ref"],
                type="array",
                uniqueItems=True,
                items={"type": "string"},
            ),
            "additionalProperties": described(
                "Whether a map may have keys that are not in properties.",
                False,
                type="boolean",
                default=True,
            ),
        },
    }


def build_body_schema(raw: Mapping[str, Json]) -> BodySchema:
    """Returns what a checked `schema` says.

    Raises:
        PatternError: A pattern needs more than linear time.
    """
    return BodySchema(
        types=types_of(raw),
        enum=tuple(raw.get("enum", ())),
        minimum=raw.get("minimum"),
        maximum=raw.get("maximum"),
        min_length=raw.get("minLength"),
        max_length=raw.get("maxLength"),
        pattern=parse_pattern(raw["pattern"]) if "pattern" in raw else None,
        format=TextFormat(raw["format"]) if "format" in raw else None,
        items=build_body_schema(raw["items"]) if "items" in raw else None,
        min_items=raw.get("minItems"),
        max_items=raw.get("maxItems"),
        properties={
            name: build_body_schema(inner) for name, inner in raw.get("properties", {}).items()
        },
        required=tuple(raw.get("required", ())),
        allows_more=raw.get("additionalProperties", True),
    )


def types_of(raw: Mapping[str, Json]) -> tuple[str, ...]:
    """Returns the types that a schema names; none when it takes all."""
    written = raw.get("type", ())
    return (written,) if isinstance(written, str) else tuple(written)
