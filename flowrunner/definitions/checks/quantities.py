"""Durations and sizes beyond what the pattern of the schema can say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
        if key not in holder:
            continue
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


def _places(subject: Subject) -> Iterator[tuple[Path, str, Mapping[str, Json]]]:
    yield (), "timeout", subject.data
    yield (), "finally_timeout", subject.data
    for key in ("age", "log_bytes"):
        yield ("retention",), key, subject.data.get("retention", {})
    for index, rule in enumerate(subject.data.get("notify", ())):
        yield ("notify", index, "window"), "within", rule.get("window", {})
    yield from _of_attempts(("defaults",), subject.data.get("defaults", {}))
    for path, node in subject.all_nodes:
        yield from _of_attempts(path, node)
        for key in ("memory", "cpu_time"):
            yield (*path, "limits"), key, node.get("limits", {})
    for index, trigger in enumerate(subject.triggers):
        yield ("triggers", index), "every", trigger
        yield ("triggers", index), "max_body", trigger
        yield ("triggers", index), "wait_timeout", trigger
        yield ("triggers", index, "dedupe"), "window", trigger.get("dedupe", {})
        yield ("triggers", index, "auth"), "tolerance", trigger.get("auth", {})


def _of_attempts(
    path: Path, holder: Mapping[str, Json]
) -> Iterator[tuple[Path, str, Mapping[str, Json]]]:
    """Yields what bounds the attempts of a node, or of all through `defaults`."""
    yield path, "timeout", holder
    yield path, "kill_after", holder
    yield (*path, "retry"), "delay", holder.get("retry", {})
    yield (*path, "retry"), "max_delay", holder.get("retry", {})
