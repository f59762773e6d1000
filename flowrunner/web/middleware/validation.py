"""Request validation: only well-formed names and known parameters reach an endpoint.

Values are judged by the endpoints; here it is the names, for which the route table is enough.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Mapping
from difflib import get_close_matches
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from flowrunner.errors import NotFoundError, ValidationError
from flowrunner.web.context import match_of
from flowrunner.web.names import EXECUTION_ID, NAME

_SEGMENTS: Mapping[str, re.Pattern[str]] = {"account": NAME, "name": NAME, "id": EXECUTION_ID}
_LONGEST_QUOTE = 60


class RequestValidation:
    """Refuses ids that cannot exist (404) and parameters that would be ignored (400)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a well-formed request on.

        Raises:
            NotFoundError: A segment of the path is no name or id.
            ValidationError: ``request.parameter``, with a finding for each bad parameter.
        """
        if scope["type"] == "http":
            match = match_of(scope)
            _check_segments(match.params)
            if match.route.query is not None:
                _check_query(scope["query_string"], match.route.query)
        return self._app(scope, receive, send)


def _check_segments(params: Mapping[str, str]) -> None:
    for name, value in params.items():
        if not _SEGMENTS[name].fullmatch(value):
            raise NotFoundError(f"{value[:_LONGEST_QUOTE]!r} cannot be the {name} of anything")


def _check_query(query_string: bytes, known: frozenset[str]) -> None:
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    counts = Counter(name for name, _ in pairs)
    findings = [
        _finding(name, known) if name not in known else _repeated(name)
        for name, count in counts.items()
        if name not in known or count > 1
    ]
    if findings:
        text = "; ".join(finding["message"] for finding in findings)
        raise ValidationError(text, code="request.parameter", findings=findings)


def _finding(name: str, known: frozenset[str]) -> dict[str, str]:
    shown = name[:_LONGEST_QUOTE]
    close = get_close_matches(shown, sorted(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or '-'}"
    return {"parameter": shown, "message": f"unknown parameter {shown!r}", "hint": hint}


def _repeated(name: str) -> dict[str, str]:
    return {"parameter": name, "message": f"parameter {name!r} is given twice", "hint": ""}
