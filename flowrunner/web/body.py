"""Bodies of commands: one JSON object, or nothing."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.requests import Request

from flowrunner.errors import ValidationError
from flowrunner.model.ids import Json
from flowrunner.web.problem import HttpError
from flowrunner.web.responses import JSON_TYPE


async def read_object(request: Request) -> dict[str, Json]:
    """Returns the JSON object of a body; an empty body is an empty object.

    Raises:
        HttpError: ``http.media_type``: the body is not said to be JSON.
        ValidationError: ``request.body``: it is not a JSON object.
    """
    body = await request.body()
    if not body:
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        text = f"the body must be sent as content-type {JSON_TYPE}"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, code="http.media_type")
    try:
        content = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValidationError("the body is not JSON", code="request.body") from error
    if not isinstance(content, dict):
        raise ValidationError("the body must be a JSON object", code="request.body")
    return content


def _refuse_constant(word: str) -> Json:
    """Refuses `NaN` and `Infinity`, which Python would read and JSON does not have."""
    raise ValueError(word)
