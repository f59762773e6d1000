"""Typing of values: does a JSON value fit a type, what a text means as that type, and back."""

from __future__ import annotations

import json
import math

from flowrunner.errors import ValidationError
from flowrunner.model.depth import TOO_DEEP, is_deeper
from flowrunner.model.flow import ValueSpec, ValueType
from flowrunner.model.formats import format_example, is_format
from flowrunner.model.ids import Json

_CHECKS: dict[ValueType, tuple[type, ...]] = {
    ValueType.STRING: (str,),
    ValueType.INTEGER: (int,),
    ValueType.NUMBER: (int, float),
    ValueType.BOOLEAN: (bool,),
    ValueType.ARRAY: (list,),
    ValueType.OBJECT: (dict,),
}
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_LONGEST_SHOWN = 80


def fits(value: Json, wanted: ValueType) -> bool:
    """Whether a value is of the type; a boolean is no number, an integer is a number.

    An infinity, which Python reads out of `1e999`, is no number: JSON could not carry it on.
    """
    if isinstance(value, bool):
        return wanted is ValueType.BOOLEAN
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _CHECKS[wanted])


def convert_text(text: str, wanted: ValueType) -> Json:
    """Returns what a text means as a value of the type: a string is itself, the rest is JSON.

    Raises:
        ValidationError: ``input.type`` when it means nothing of that type, or is nested deeper
            than `DATA_DEPTH`. The text may be a secret, so the message does not quote it; the
            details do, for those who may see it.
    """
    if wanted is ValueType.STRING:
        return text
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except ValueError:
        value = None
    except RecursionError:
        raise _misfit(TOO_DEEP, text) from None
    if not fits(value, wanted):
        raise _misfit(f"must be of type {wanted}", text)
    if is_deeper(value):
        raise _misfit(TOO_DEEP, text)
    return value


def text_of(value: Json) -> str:
    """Returns a value as plain text: a string as it is, null as nothing, the rest as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else _ENCODER.encode(value)


def problem_with(value: Json, spec: ValueSpec) -> str | None:
    """Returns what is wrong with a value, or None when it fits; the value is not quoted.

    The one place that knows what each keyword means; bounds and patterns must suit the type.
    """
    if not fits(value, spec.type):
        return f"must be of type {spec.type}{', not null' if value is None else ''}"
    if is_deeper(value):
        return TOO_DEEP
    if spec.enum and value not in spec.enum:
        return "must be one of " + ", ".join(map(text_of, spec.enum))
    if spec.minimum is not None and value < spec.minimum:
        return f"must be at least {text_of(spec.minimum)}"
    if spec.maximum is not None and value > spec.maximum:
        return f"must be at most {text_of(spec.maximum)}"
    if spec.items is not None:
        return _problem_with_items(value, spec.items)
    return _problem_with_text(value, spec)


def _problem_with_text(value: Json, spec: ValueSpec) -> str | None:
    if spec.format is not None and not is_format(value, spec.format):
        return f"must be of format {spec.format}, such as {format_example(spec.format)}"
    if spec.pattern is not None and not spec.pattern.is_in(value):
        shown = spec.pattern.source
        return (
            f"must match {shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '…'}"
        )
    return None


def _problem_with_items(values: list[Json], spec: ValueSpec) -> str | None:
    found = ((index, problem_with(item, spec)) for index, item in enumerate(values))
    return next((f"at index {index} {problem}" for index, problem in found if problem), None)


def _misfit(message: str, text: str) -> ValidationError:
    return ValidationError(message, code="input.type", details={"value": text[:_LONGEST_SHOWN]})


def _refuse(word: str) -> Json:
    """Refuses NaN and the infinities, which are no JSON (RFC 8259 section 6)."""
    raise ValueError(word)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
