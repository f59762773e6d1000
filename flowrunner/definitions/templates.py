"""Parsed texts, kept: a check and the build need the same ones, and many flows share some.

Templates are immutable, so one may stand in any number of flows.
"""

from __future__ import annotations

import re
from functools import lru_cache

from flowrunner.model.expressions import Template, condition, parse_template

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
