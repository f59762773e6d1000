"""Typing of values: does a JSON value fit a type, and what a text means as that type."""

from __future__ import annotations

import json

from flowrunner.errors import ValidationError
from flowrunner.model.flow import InputSpec, ValueType
from flowrunner.model.ids import Json

_CHECKS: dict[ValueType, tuple[type, ...]] = {
    ValueType.STRING: (str,),
    ValueType.INTEGER: (int,),
    ValueType.NUMBER: (int, float),
    ValueType.BOOLEAN: (bool,),
    ValueType.ARRAY: (list,),
    ValueType.OBJECT: (dict,),
}


def fits(value: Json, wanted: ValueType) -> bool:
    """Whether a value is of the type; a boolean is no number, an integer is a number."""
    if isinstance(value, bool):
        return wanted is ValueType.BOOLEAN
    return isinstance(value, _CHECKS[wanted])


def convert_text(text: str, wanted: ValueType) -> Json:
    """Returns what a text from the command line means as a value of the type.

    Raises:
        ValidationError: ``input.type`` when it means nothing of that type.
    """
    if wanted is ValueType.STRING:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not fits(value, wanted):
        raise ValidationError(f"{text[:80]!r} is not of type {wanted}", code="input.type")
    return value


def problem_with(value: Json, spec: InputSpec) -> str | None:
    """Returns what is wrong with a value for an input, or None when it fits."""
    if not fits(value, spec.type):
        return f"must be of type {spec.type}"
    if spec.enum and value not in spec.enum:
        return "must be one of " + ", ".join(str(choice) for choice in spec.enum)
    if spec.minimum is not None and value < spec.minimum:
        return f"must be at least {spec.minimum:g}"
    if spec.maximum is not None and value > spec.maximum:
        return f"must be at most {spec.maximum:g}"
    return None
