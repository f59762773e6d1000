"""The body of a delivery: what is taken, before anything looks into it."""

from __future__ import annotations

import json
import math
from codecs import BOM_UTF8

from flowrunner.errors import ValidationError
from flowrunner.model.body import Content, body_value
from flowrunner.model.body_schema import BodySchema, misfits_of
from flowrunner.model.depth import is_deeper
from flowrunner.model.ids import Json

JSON_DEPTH = 64
"""How deep the body of a delivery may nest; deeper data is an attack on a parser."""


_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


def lack_of_type(content: Content, content_type: str, encoding: str = "") -> str:
    """Returns what the content type must be, in words; empty where it is right.

    What is compressed is refused: it would have to be unpacked before anybody knows how large it
    is. Source: RFC 9110 section 15.5.16 for `Content-Encoding`; RFC 6839 section 3.1 for the
    suffix of JSON.
    """
    is_plain = content_type == _JSON and not encoding  # as most are sent
    if content is Content.RAW or (is_plain and content is Content.JSON):
        return ""
    media_type = content_type.partition(";")[0].strip().lower()
    if encoding.strip().lower() not in {"", "identity"}:
        return "the body must not be encoded (content-encoding)"
    if content is Content.FORM:
        return "" if media_type == _FORM else f"the content type must be {_FORM}"
    is_json = media_type == _JSON or media_type.endswith("+json")
    return "" if is_json else "the content type must be application/json"


def read_body(body: bytes, content: Content) -> Json:
    """Returns the value that a body is; None without one, and for raw bytes.

    Raises:
        ValidationError: ``delivery.json``, ``delivery.form``.
    """
    if content is Content.JSON:
        return read_json(body)
    try:
        return body_value(body, content)
    except ValueError as error:
        raise ValidationError("the body is not a form", code="delivery.form") from error


def read_json(body: bytes) -> Json:
    """Returns the JSON that a body is; None without one.

    Numbers beyond the range of a double are refused as NaN is: no JSON could say them again. JSON
    is UTF-8; Python would take UTF-16 and UTF-32 as well, which a check before us or a script
    behind us may read as something else. A byte order mark is passed over, and of a key that is
    given twice the last one counts. Source: RFC 8259, sections 4 and 8.1.

    Raises:
        ValidationError: ``delivery.json``.
    """
    if not body:
        return None
    try:
        value = _DECODER.decode(body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError) as error:
        raise ValidationError("the body is not JSON", code="delivery.json") from error
    may_be_deep = body.count(b"{") + body.count(b"[") > JSON_DEPTH  # each level opens with one
    if may_be_deep and is_deeper(value, JSON_DEPTH):
        text = f"the body is nested more than {JSON_DEPTH} deep"
        raise ValidationError(text, code="delivery.json")
    return value


def require_fit(body: Json, schema: BodySchema | None) -> None:
    """Refuses a body that is not what its hook's schema says.

    The message has places and words of the schema alone, nothing that was sent.

    Raises:
        ValidationError: ``delivery.schema``.
    """
    found = () if schema is None else misfits_of(body, schema)
    if found:
        text = "; ".join(f"{each.pointer or 'the body'} {each.message}" for each in found)
        raise ValidationError(text, code="delivery.schema")


def _refuse_constant(word: str) -> Json:
    raise ValueError(word)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
