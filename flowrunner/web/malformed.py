"""The answer to what cannot be read as a request; no link of the chain sees it."""

from __future__ import annotations

from http import HTTPStatus

from flowrunner.web.middleware.head_limit import HEAD_BYTES, head_error
from flowrunner.web.problem import HttpError, problem_of, problem_response


def refusal(status: int, message: str) -> bytes:
    """Returns the whole answer, as it goes over the connection.

    Args:
        status: What the parser says it should be; 0 if it says nothing.
        message: What is wrong.
    """
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        error = head_error(f"the head of a request may have {HEAD_BYTES} bytes")
    else:
        error = HttpError(HTTPStatus.BAD_REQUEST, message, code="http.malformed")
    response = problem_response(problem_of(error))
    response.headers["connection"] = "close"
    head = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()]
    head += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*head, b"", bytes(response.body)])
