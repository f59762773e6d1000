"""The error boundary: whatever goes wrong further in is answered, and known to the log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowrunner.errors import StorageError
from flowrunner.web.context import Answer, begin_answer, request_id_of
from flowrunner.web.problem import problem_of, problem_response

_LOG = logging.getLogger(__name__)


class ErrorBoundary:
    """Answers an error with its problem document.

    An error after the answer has begun cannot be told to the caller any more: it is raised, and
    the server cuts the connection. All answers pass here, so this link alone looks at them: it
    notes their status, and adds the headers that the others ask for.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on and answers what it raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = begin_answer(scope)

        def watch(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                _begin(answer, message)
            return send(message)

        try:
            await self._app(scope, receive, watch)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            if answer.status:
                raise
            _tell(error, request_id_of(scope))
            response = problem_response(problem_of(error), request_id_of(scope))
            await response(scope, receive, watch)


def _begin(answer: Answer, message: Message) -> None:
    """Notes the status, and puts the headers of the chain behind those of the answer."""
    answer.status = message["status"]
    added = [(name.encode(), text.encode("latin-1")) for name, text in answer.headers.items()]
    message["headers"] = [*message.get("headers", ()), *added]


def _tell(error: Exception, request_id: str) -> None:
    """Logs what someone must act on; a refusal is the caller's business alone."""
    if isinstance(error, StorageError):
        _LOG.error("http.storage code=%s request_id=%s: %s", error.code, request_id, error)
    elif problem_of(error).code == "internal":
        _LOG.error("http.internal request_id=%s", request_id, exc_info=error)
