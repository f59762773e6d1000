"""The id of an execution as a person types it: whole, or so much of its beginning as is needed.

An id begins with the time at which it was made, and lists go by id: executions whose ids begin
alike stand side by side, so the list tells which they are.
Source: RFC 9562, section 5.7 (UUID version 7).
"""

from __future__ import annotations

from flowrunner.cli.client import ControlClient
from flowrunner.cli.errors import UsageError
from flowrunner.cli.paging import read_list
from flowrunner.cli.render import full_name, moment
from flowrunner.errors import NotFoundError
from flowrunner.model.ids import Json

SHORTEST = 8
"""Characters; fewer would mean any execution of many hours."""

_MOST_SHOWN = 10
_MODEL = "00000000-0000-0000-0000-000000000000"
_DIGITS = 32
_HEX_DIGITS = frozenset("0123456789abcdef")


def find_execution(client: ControlClient, word: str) -> str:
    """Returns the id that a word means; a whole one, and what can be none, is left to the daemon.

    Raises:
        UsageError: It is shorter than `SHORTEST`, or the ids of several executions begin so.
        NotFoundError: No id begins so.
        FlowError: As `ControlClient.get`.
    """
    if len(word) >= len(_MODEL) or not _may_begin_an_id(word):
        return word
    if len(word) < SHORTEST:
        hint = "`flowrunner executions` lists the ids"
        raise UsageError(f"give at least {SHORTEST} characters of the id, not {word!r}", hint=hint)
    found = _beginning_with(client, word)
    if not found:
        raise NotFoundError(f"there is no execution whose id begins with {word!r}")
    if len(found) > 1:
        raise UsageError(
            f"{word!r} begins the ids of several executions", hint="one of", choices=_choices(found)
        )
    return str(found[0]["id"])


def _may_begin_an_id(word: str) -> bool:
    pairs = zip(word, _MODEL, strict=False)
    return bool(word) and all(
        given == "-" if wanted == "-" else given in _HEX_DIGITS for given, wanted in pairs
    )


def _beginning_with(client: ControlClient, word: str) -> list[Json]:
    """Returns the newest executions whose ids begin so, one more than is shown."""
    start, most = _first_beyond(word), _MOST_SHOWN + 1
    items, _ = read_list(client, "/api/v1/executions", {}, limit=most, start=start)
    return [execution for execution in items if execution["id"].startswith(word)]


def _first_beyond(word: str) -> str | None:
    """Returns the lowest id after all that begin so; None when there is none."""
    given = word.replace("-", "")
    if given == "f" * len(given):
        return None
    digits = f"{int(given, 16) + 1:0{len(given)}x}".ljust(_DIGITS, "0")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _choices(found: list[Json]) -> list[str]:
    lines = [
        f"{each['id']} {full_name(each)} {each['state']} {moment(each['created_at'])}"
        for each in found[:_MOST_SHOWN]
    ]
    return [*lines, "…"] if len(found) > _MOST_SHOWN else lines
