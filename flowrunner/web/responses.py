"""How answers are written, and the headers that every one of them carries."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response

from flowrunner.model.ids import Json

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain"

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_PLAIN_TEXT = "text/plain; charset=utf-8"


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()
    ]


COMMON_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
"""State is never to be kept by a cache, and never to be taken for what it does not say it is."""

_COMMON_RAW = _raw(COMMON_HEADERS)


class _Written(Response):
    """An answer with the common headers, which are not written anew for each."""

    def __init__(
        self, body: bytes, status: int, headers: Mapping[str, str], media_type: str
    ) -> None:
        """Makes it; as a response that is given the same makes itself."""
        self.status_code, self.media_type, self.background = status, media_type, None
        self.body = body
        self.raw_headers = [
            *_COMMON_RAW,
            *(_raw(headers) if headers else ()),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", media_type.encode("latin-1")),
        ]


def json_response(
    content: Json,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = JSON_TYPE,
) -> Response:
    """Writes JSON in UTF-8; what UTF-8 cannot carry is written as a JSON escape."""
    text = _ENCODER.encode(content)
    # A lone surrogate (output that was no UTF-8) becomes \udcXX, which is how JSON writes it.
    body = text.encode("utf-8", "backslashreplace")
    return _Written(body, status, headers or {}, media_type)


def text_response(text: str, *, status: int = 200) -> Response:
    """Writes plain text."""
    return Response(text.encode("utf-8", "replace"), status, COMMON_HEADERS, _PLAIN_TEXT)
