"""The params of a `wait`, in either form: what may stand there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flowrunner.errors import ValidationError
from flowrunner.model.formats import is_written_moment, parse_moment
from flowrunner.model.ids import Json
from flowrunner.model.quantities import DURATION_PATTERN, parse_duration
from flowrunner.nodes.base import ParamProblem

TIME_HINT = "a time is an RFC 3339 text with its zone, such as 2026-03-30T02:30:00+02:00"

_EITHER = "a wait has exactly one of 'for', 'until' and 'probe'"
_ENDS = ("for", "until", "probe")
_LEAST_S, _MOST_S = 1, 86_400
"""Of `every`: often enough for a person who waits, and seldom enough to start a process."""

_LONGEST_QUOTE = 60

WAIT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "for": {
            "description": "How long, as a duration with its unit. Either this or `until`.",
            "type": "string",
            "pattern": DURATION_PATTERN,
            "examples": ["90s"],
        },
        "until": {
            "description": "A time (RFC 3339, with its zone), or an expression that gives one, "
            "with or without the wrapper. A time in the past ends the wait at once.",
            "type": "string",
            "minLength": 1,
            "x-expression": True,
            "x-moment": True,
            "examples": ["2026-03-30T02:30:00+02:00", "add(execution.created_at, '2h')"],
        },
        "probe": {
            "description": "Text of a script that looks, again and again, until it succeeds; "
            "takes no expressions, use `env`. Needs `every`.",
            "type": "string",
            "minLength": 1,
            "x-interpreted": True,
            "examples": ["test -e /srv/inbox/orders.csv"],
        },
        "every": {
            "description": "From the start of one probe to the start of the next, `1s` to "
            "`1d`; one that takes longer is followed at once.",
            "type": "string",
            "pattern": DURATION_PATTERN,
            "examples": ["30s"],
        },
    },
}


def problems_of_wait(params: Mapping[str, Json]) -> Sequence[ParamProblem]:
    """Returns what the schema cannot say about the params of a wait, in either form."""
    given = [key for key in _ENDS if key in params]
    if len(given) != 1:
        hint = "write for: 90s, until: with a time or an expression, or probe: with every:"
        return (ParamProblem(path=tuple(given[1:2]), message=_EITHER, hint=hint),)
    if ("every" in params) != (given == ["probe"]):
        return (_every_alone() if "every" in params else _probe_alone(),)
    if "probe" in params:
        return _problems_of_probe(params)
    return _problems_of_for(params) if "for" in params else _problems_of_until(params)


def _every_alone() -> ParamProblem:
    message, hint = "'every' has no effect without 'probe'", "it says how often a probe is run"
    return ParamProblem(path=("every",), message=message, hint=hint)


def _probe_alone() -> ParamProblem:
    message = "a probe needs 'every': how often it is run"
    return ParamProblem(path=("probe",), message=message, hint="write every: 30s beside it")


def _problems_of_probe(params: Mapping[str, Json]) -> Sequence[ParamProblem]:
    if "\0" in str(params["probe"]):
        return (ParamProblem(path=("probe",), message="the probe contains a NUL character"),)
    if problems := _problems_of_duration(params, "every"):
        return problems
    if not _LEAST_S <= parse_duration(str(params["every"])) <= _MOST_S:
        message = f"a probe every {params['every']} is not between 1s and 1d"
        return (ParamProblem(path=("every",), message=message),)
    return ()


def _problems_of_for(params: Mapping[str, Json]) -> Sequence[ParamProblem]:
    return _problems_of_duration(params, "for")


def _problems_of_duration(params: Mapping[str, Json], key: str) -> Sequence[ParamProblem]:
    try:
        parse_duration(str(params[key]))
    except ValidationError as error:
        hint = str(getattr(error, "hint", ""))
        return (ParamProblem(path=(key,), message=error.message, hint=hint),)
    return ()


def _problems_of_until(params: Mapping[str, Json]) -> Sequence[ParamProblem]:
    written = str(params["until"])
    if not is_written_moment(written) or parse_moment(written) is not None:
        return ()  # whether an expression gives a time is known when it is evaluated
    message = f"{written[:_LONGEST_QUOTE]!r} is no time"
    return (ParamProblem(path=("until",), message=message, hint=TIME_HINT),)
