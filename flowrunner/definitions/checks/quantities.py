"""Durations and sizes beyond what the pattern of the schema can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from flowrunner.definitions import codes
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.model.finding import Finding
from flowrunner.model.ids import Json
from flowrunner.model.notify import LONGEST_WINDOW_S
from flowrunner.model.quantities import QuantityError, parse_duration, parse_size

_MAY_BE_ZERO = frozenset({"delay", "kill_after", "every"})  # of `every`, triggers know more

_SIZES = frozenset({"log_bytes", "max_body", "memory"})

_BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "age": (3_600, 3_650 * 86_400, "from 1h to 3650d"),
    "within": (1e-3, LONGEST_WINDOW_S, "more than nothing, and at most 30d"),
    "log_bytes": (1024, 1024**4, "from 1KiB to 1TiB"),
    "max_body": (1, 64 * 1024**2, "from 1B to 64MiB, the most that server.max_body may be"),
    "tolerance": (1, 3_600, "from 1s to 1h"),
    "wait_timeout": (1, 300, "from 1s to 5m"),
}
"""Least and most of what may not be just anything above zero."""


def check_quantities(subject: Subject) -> Iterator[Finding]:
    """Yields findings about durations and sizes that are zero or beyond reason."""
    for path, key, holder in _places(subject):
        read = parse_size if key in _SIZES else parse_duration
        try:
            value = read(holder[key])
        except QuantityError as error:
            yield subject.document.finding(
                codes.MALFORMED_QUANTITY, error.message, path=(*path, key), hint=error.hint
            )
            continue
        if key in _BOUNDS:
            yield from _beyond(subject, (*path, key), value, _BOUNDS[key])
        elif not value and key not in _MAY_BE_ZERO:
            yield subject.document.finding(
                codes.VALUE_NOT_ALLOWED, f"{key!r} must be more than nothing", path=(*path, key)
            )


def _beyond(
    subject: Subject, path: Path, value: float, bounds: tuple[float, float, str]
) -> Iterator[Finding]:
    least, most, words = bounds
    if not least <= value <= most:
        message = f"{path[-1]!r} must be {words}"
        yield subject.document.finding(codes.VALUE_NOT_ALLOWED, message, path=path)


_Placed: TypeAlias = tuple[Path, str, Mapping[str, Json]]
"""A key that is there, the path of what holds it, and that."""


def _places(subject: Subject) -> Iterator[_Placed]:
    data = subject.data
    yield from _among(("timeout", "finally_timeout"), (), data)
    yield from _among(("age", "log_bytes"), ("retention",), data.get("retention"))
    for index, rule in enumerate(data.get("notify", ())):
        yield from _among(("within",), ("notify", index, "window"), rule.get("window"))
    yield from _of_attempts(("defaults",), data.get("defaults", {}))
    for path, node in subject.all_nodes:
        yield from _of_attempts(path, node)
        if "limits" in node:
            yield from _among(("memory", "cpu_time"), (*path, "limits"), node["limits"])
    for index, trigger in enumerate(subject.triggers):
        at: Path = ("triggers", index)
        yield from _among(("every", "max_body", "wait_timeout"), at, trigger)
        yield from _among(("window",), (*at, "dedupe"), trigger.get("dedupe"))
        yield from _among(("tolerance",), (*at, "auth"), trigger.get("auth"))


def _of_attempts(path: Path, holder: Mapping[str, Json]) -> Iterator[_Placed]:
    """Yields what bounds the attempts of a node, or of all through `defaults`."""
    if "timeout" in holder or "kill_after" in holder:
        yield from _among(("timeout", "kill_after"), path, holder)
    if "retry" in holder:
        yield from _among(("delay", "max_delay"), (*path, "retry"), holder["retry"])


def _among(keys: Sequence[str], path: Path, holder: Mapping[str, Json] | None) -> Sequence[_Placed]:
    """Returns those of the keys that something holds."""
    return [(path, key, holder) for key in keys if key in holder] if holder else ()
