"""The body of a delivery as a value: JSON, a form, or nothing that anybody here reads.

Source of the form: WHATWG URL standard, section 5.1 (application/x-www-form-urlencoded parsing).
"""

from __future__ import annotations

import json
from enum import StrEnum
from urllib.parse import parse_qsl

from flowrunner.model.ids import Json

CONTENT = "content"
"""Key of a cause's context that says what its payload is; without it the payload is JSON."""

MOST_FIELDS = 1_000
"""Fields of a form. More are an attack on a parser."""


class Content(StrEnum):
    """What a hook takes as the body of a delivery."""

    JSON = "json"
    FORM = "form"
    RAW = "raw"


def body_value(payload: bytes | None, content: Json = None) -> Json:
    """Returns what expressions see of a body that was checked; None where there is nothing."""
    if not payload or content == Content.RAW:
        return None
    return read_form(payload) if content == Content.FORM else json.loads(payload)


def read_form(payload: bytes) -> dict[str, str]:
    """Returns the fields of a form; of those with one name the first.

    Raises:
        ValueError: It is not UTF-8, or has more than `MOST_FIELDS` fields.
    """
    pairs = parse_qsl(
        payload.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
    )
    return dict(reversed(pairs))  # later pairs replace earlier ones, so the first value stays
