"""Parsed texts, kept: a check and the build need the same ones, and many flows share some.

Templates are immutable, so one may stand in any number of flows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from flowrunner.model.expressions import Template, condition, parse_template
from flowrunner.model.ids import Json

_KEPT = 1_024
_OPENING = re.compile(r"(?<!\$)\$\{\{")


def holds_expression(text: str) -> bool:
    """Whether a text has a `${{` that is not escaped as `$${{`."""
    return "${{" in text and _OPENING.search(text) is not None


def find_expression(text: str) -> tuple[int, str] | None:
    """Returns where the first expression of a text opens, and its text without the wrapper.

    For text that takes none, so the expression may be anything; empty when it does not end.
    """
    opening = _OPENING.search(text)
    if opening is None:
        return None
    closing = text.find("}}", opening.end())
    return opening.start(), text[opening.end() : max(closing, opening.end())].strip()


@lru_cache(maxsize=_KEPT)
def template_of(text: str) -> Template:
    """Returns the template that a text is; raises as `parse_template`."""
    return parse_template(text)


@lru_cache(maxsize=_KEPT)
def condition_of(text: str) -> Template:
    """Returns the template of a bare expression; raises as `condition`."""
    return condition(text)


def text_or_template(value: Json) -> Json:
    """Returns a template for a text with an expression in it, anything else as it is."""
    return template_of(value) if isinstance(value, str) and "${{" in value else value


def templated_deep(value: Json) -> Json:
    """Returns a value with templates for the texts in it, at any depth."""
    if isinstance(value, dict):
        return {name: templated_deep(item) for name, item in value.items()}
    if isinstance(value, list):
        return [templated_deep(item) for item in value]
    return text_or_template(value)


def if_of(raw: Mapping[str, Json]) -> Template | None:
    """Returns the template of the `if` of a node or trigger as written; None without one."""
    return if_template(raw["if"]) if "if" in raw else None


def if_template(value: Json) -> Template:
    """Returns the template of a condition, which may be written as `true` or `false`."""
    return condition_of(value if isinstance(value, str) else str(value).lower())
