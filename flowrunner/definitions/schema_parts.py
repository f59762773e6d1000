"""What the parts of the flow schema share: patterns of texts, and how a key is described.

Patterns are kept to what JSON Schema, Python and Rust read alike.
"""

from __future__ import annotations

from typing import Any

from flowrunner.model.quantities import DURATION_PATTERN, SIZE_PATTERN

FLOW_NAME = "^[a-z0-9][a-z0-9-]{0,62}$"
INNER_NAME = "^[a-z][a-z0-9_]{0,62}$"
SECRET_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"  # noqa: S105 - a pattern, not a secret
LABEL_NAME = "^[a-z][a-z0-9_./-]{0,62}$"
ENV_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
UMASK = "^0?[0-7]{3}$"
HEADER_NAME = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
_HOOK_SEGMENT = r"(\.{0,2}[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\.{3}[A-Za-z0-9._~-]*)"
HOOK_PATH = f"^{_HOOK_SEGMENT}(/{_HOOK_SEGMENT})*$"
"""Literal segments; none is `.` or `..`, which clients and proxies resolve on the way."""


def described(text: str, example: object, **rest: object) -> dict[str, Any]:
    """Returns a schema that says what its value is for; `rest` holds further keywords."""
    return {"description": text, "examples": [example], **rest}


def duration(text: str, example: str, default: str | None = None) -> dict[str, Any]:
    """Returns the schema of a duration."""
    extra = {} if default is None else {"default": default}
    return described(text, example, type="string", pattern=DURATION_PATTERN, **extra)


def size(text: str, example: str) -> dict[str, Any]:
    """Returns the schema of a size."""
    return described(text, example, type="string", pattern=SIZE_PATTERN)
