"""Values of query parameters, each read by one function; names were checked by the chain."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request

from flowrunner.errors import ValidationError
from flowrunner.model.formats import parse_moment
from flowrunner.model.ids import ExecutionId, FlowKey
from flowrunner.model.schedule import EPOCH
from flowrunner.model.states import ExecutionState
from flowrunner.web.names import EXECUTION_ID, NAME, NODE

DEFAULT_LIMIT = 100
LATEST = datetime(9999, 1, 1, tzinfo=UTC)
"""The last moment that may be asked for."""
MAX_LIMIT = 1_000

_LIMIT_DIGITS = 4
_ITEM_DIGITS = 5
_NUMBER_DIGITS = 15


def invalid(parameter: str, message: str) -> ValidationError:
    """Makes the error of one parameter: ``request.parameter``."""
    finding = {"parameter": parameter, "message": message, "hint": ""}
    text = f"parameter {parameter!r}: {message}"
    return ValidationError(text, code="request.parameter", findings=[finding])


def limit_of(request: Request) -> int:
    """Returns the size of a page, 1 to 1,000."""
    text = request.query_params.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) <= _LIMIT_DIGITS:
        value = int(text)
        if 1 <= value <= MAX_LIMIT:
            return value
    raise invalid("limit", f"must be a number from 1 to {MAX_LIMIT}")


def wait_of(request: Request) -> float:
    """Returns for how many seconds an answer may be held back, 0 to 2."""
    text = request.query_params.get("wait", "0")
    if text in ("0", "1", "2"):
        return float(text)
    raise invalid("wait", "must be 0, 1 or 2: seconds")


def item_of(request: Request) -> int | None:
    """Returns the index of an item of a node, or None when it is not asked for."""
    text = request.query_params.get("item")
    if text is None:
        return None
    if "node" not in request.query_params:
        raise invalid("item", "needs the parameter 'node'")
    if text.isascii() and text.isdigit() and len(text) <= _ITEM_DIGITS:
        return int(text)
    raise invalid("item", "must be the index of an item, from 0")


def name_of(request: Request, parameter: str) -> str | None:
    """Returns the name of a flow or an account, or None when it is not asked for."""
    text = request.query_params.get(parameter)
    if text is not None and not NAME.fullmatch(text):
        raise invalid(parameter, "must be a name: small letters, digits and dashes")
    return text


def states_of(request: Request) -> tuple[ExecutionState, ...]:
    """Returns the states asked for, separated by commas; empty: all."""
    text = request.query_params.get("state")
    if text is None:
        return ()
    try:
        return tuple(ExecutionState(word) for word in text.split(","))
    except ValueError as error:
        known = ", ".join(ExecutionState)
        raise invalid("state", f"must be one or more, with commas, of: {known}") from error


def moment_of(request: Request, name: str) -> datetime | None:
    """Returns a moment in UTC, or None when it is not asked for."""
    text = request.query_params.get(name)
    at = None if text is None else parse_moment(text)
    if text is not None and at is None:
        raise invalid(name, "must be a time such as 2027-03-01T12:00:00Z")
    if at is None:
        return None
    at = at.astimezone(UTC)
    if not EPOCH < at <= LATEST:
        raise invalid(name, "must lie between 1970 and 9999")
    return at


def execution_cursor_of(request: Request) -> ExecutionId | None:
    """Returns where the next page of executions begins."""
    text = request.query_params.get("cursor")
    if text is not None and not EXECUTION_ID.fullmatch(text):
        raise bad_cursor()
    return None if text is None else ExecutionId(text)


def node_cursor_of(request: Request) -> str | None:
    """Returns where the next page of nodes begins: the last node of this one."""
    text = request.query_params.get("cursor")
    if text is not None and not NODE.fullmatch(text):
        raise bad_cursor()
    return text


def flow_cursor_of(request: Request) -> FlowKey | None:
    """Returns where the next page of flows begins: the key of the last flow of this one."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    account, slash, name = text.partition("/")
    if not (slash and NAME.fullmatch(account) and NAME.fullmatch(name)):
        raise bad_cursor()
    return FlowKey(account, name)


def number_cursor_of(request: Request) -> int | None:
    """Returns where the next page of a numbered list begins."""
    text = request.query_params.get("cursor")
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS:
        return int(text)
    raise bad_cursor()


def bad_cursor() -> ValidationError:
    """Makes the error of a cursor that no page has given."""
    return invalid("cursor", "must be the next_cursor of the page before")
