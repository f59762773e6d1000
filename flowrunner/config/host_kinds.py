"""The kinds of settings that say what a host is: labels and facts."""

from __future__ import annotations

import math
import re
from pathlib import Path

from flowrunner.config.kinds import BadValueError, Kind, quote
from flowrunner.model.host import FACT_NAME, HOST_LABEL
from flowrunner.model.ids import Json

_LONGEST_FACT = 1024
_LABELS_HINT = "write a list, for example [db, eu-1]"
_FACTS_HINT = "write a map, for example {region: eu-1, cores: 8}"


def host_labels() -> Kind:
    """A list of labels, each once; a text has commas between them."""

    def parse(value: Json, _: Path) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise _wrong_type(value, "a list of labels", _LABELS_HINT)
        for label in value:
            if not isinstance(label, str) or not re.fullmatch(HOST_LABEL, label):
                hint = "letters, digits, '.', '_' and '-', at most 63, a letter or digit first"
                raise BadValueError(f"{quote(label)} is no label", hint=hint)
        return tuple(dict.fromkeys(value))

    return Kind(
        parse=parse,
        render=list,
        from_text=lambda text: [name.strip() for name in text.split(",")] if text.strip() else [],
        schema={"type": "array", "items": {"type": "string", "pattern": HOST_LABEL}},
    )


def host_facts() -> Kind:
    """A map of names to scalars, kept as pairs; in a text `NAME=TEXT` with commas between them."""

    def parse(value: Json, _: Path) -> tuple[tuple[str, Json], ...]:
        if not isinstance(value, dict):
            raise _wrong_type(value, "a map of facts", _FACTS_HINT)
        for name, fact in value.items():
            if not re.fullmatch(FACT_NAME, name):
                raise BadValueError(f"{quote(name)} is no name of a fact", hint=_FACTS_HINT)
            if not _is_fact(fact):
                hint = f"a text of at most {_LONGEST_FACT} characters, a number, true or false"
                raise BadValueError(f"{name}: {quote(fact)} is no fact", hint=hint)
        return tuple(value.items())

    return Kind(
        parse=parse,
        render=dict,
        from_text=_facts_of,
        schema={
            "type": "object",
            "propertyNames": {"pattern": FACT_NAME},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
    )


def _facts_of(text: str) -> Json:
    """Returns the map that a text says; the text itself, to be refused, where it says none."""
    pairs = [pair.strip().partition("=") for pair in text.split(",")] if text.strip() else []
    if not all(sign for _, sign, _ in pairs):
        return text
    return {name: fact for name, _, fact in pairs}


def _is_fact(value: Json) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_FACT
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _wrong_type(value: Json, wanted: str, hint: str) -> BadValueError:
    return BadValueError(f"{quote(value)} is not {wanted}", code="settings.type", hint=hint)
