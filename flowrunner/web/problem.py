"""Errors as HTTP tells them: the one place where an error becomes a status and a document.

Source: RFC 9457 (problem details), RFC 9110 (status codes, `Retry-After`, `WWW-Authenticate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from flowrunner.dataclass import dataclass
from flowrunner.errors import (
    AuthError,
    FlowError,
    NotFoundError,
    RefusedError,
    StorageError,
    ValidationError,
)
from flowrunner.model.ids import Json
from flowrunner.web.responses import json_response

PROBLEM_TYPE = "application/problem+json"
CHALLENGE: Mapping[str, str] = {"www-authenticate": "FlowRunner"}
"""What the 401 of a hook carries. The scheme is our own: how to sign differs from hook to hook."""

_BEARER = 'Bearer realm="flowrunner"'
_CHALLENGES: Mapping[str, str] = {
    "auth.invalid": f'{_BEARER}, error="invalid_token"',
    "auth.scope": f'{_BEARER}, error="insufficient_scope"',
}
"""Code → what its 401 carries. Source: RFC 6750, section 3."""

TOO_OFTEN = "http.rate"
"""Code of what is refused because its source comes too often (429)."""

BUSY = "http.busy"
"""Code of a body for which there is no room (503)."""

CLIENT_LEFT = 499
"""What logs and records show where nobody waited for an answer; never sent. Source: nginx."""

RETRY_AFTER_S = 5
"""Seconds until it is worth asking again when the daemon is busy with itself."""

_RETRY: Mapping[str, str] = {"retry-after": str(RETRY_AFTER_S)}
_PASSING_REFUSALS = frozenset({"disk", "draining", "not_ready"})
"""Refusals that end by themselves, so the same request may succeed later."""


class HttpError(FlowError):
    """What HTTP itself refuses, before the business is asked.

    Codes: ``http.method``, ``http.misdirected``, ``http.too_large``, ``http.head_too_large``,
    ``http.media_type``, ``http.malformed``, ``http.rate``, ``http.version``, ``http.busy``.

    Attributes:
        status: The status it is answered with.
        headers: Headers that belong to the status.
    """

    default_code = "http"

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        code: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem before it is written.

    Attributes:
        findings: All that is wrong with what was sent; None when that is not the question.
    """

    status: int
    code: str
    detail: str
    findings: Sequence[Mapping[str, Any]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_of(error: Exception) -> Problem:
    """Returns what an error is to HTTP; an unforeseen one tells nothing of itself."""
    if isinstance(error, HttpError):
        return _problem(error.status, error, headers=error.headers)
    if isinstance(error, ValidationError):
        # 422 speaks of content (RFC 9110, section 15.5.21), and a parameter is none.
        in_query = error.code == "request.parameter"
        status = HTTPStatus.BAD_REQUEST if in_query else HTTPStatus.UNPROCESSABLE_ENTITY
        return _problem(status, error, findings=error.findings)
    if isinstance(error, NotFoundError):
        return _problem(HTTPStatus.NOT_FOUND, error)
    if isinstance(error, RefusedError):
        if error.code in _PASSING_REFUSALS:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, error, headers=_RETRY)
        return _problem(HTTPStatus.CONFLICT, error)
    if isinstance(error, StorageError):
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, error, headers=_RETRY)
    if isinstance(error, AuthError):
        if error.code == "auth.denied":
            return _problem(HTTPStatus.FORBIDDEN, error)
        challenge = {"www-authenticate": _CHALLENGES.get(error.code, _BEARER)}
        return _problem(HTTPStatus.UNAUTHORIZED, error, headers=challenge)
    return Problem(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal",
        detail="an unexpected error; the daemon's log has it under this request id",
    )


def problem_response(problem: Problem, request_id: str = "") -> Response:
    """Writes a problem; without an id the document is the same for every request."""
    document: dict[str, Json] = {
        "type": f"urn:flowrunner:problem:{problem.code}",
        "title": HTTPStatus(problem.status).phrase,
        "status": int(problem.status),
        "detail": problem.detail,
        "code": problem.code,
    }
    if request_id:
        document["request_id"] = request_id
    if problem.findings is not None:
        document["findings"] = [dict(finding) for finding in problem.findings]
    return json_response(
        document, status=problem.status, headers=problem.headers, media_type=PROBLEM_TYPE
    )


def _problem(
    status: HTTPStatus,
    error: FlowError,
    *,
    findings: Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Problem:
    return Problem(
        status=status,
        code=error.code,
        detail=error.message,
        findings=findings,
        headers=headers or {},
    )
