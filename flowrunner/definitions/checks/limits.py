"""Limits that are never reached, or always: durations that contradict each other.

Each rule compares keys that stand in the file; what the settings add is the host's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice, pairwise
from math import inf

from flowrunner.definitions import codes
from flowrunner.definitions.build import facts_of, node_params
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.document import Path
from flowrunner.definitions.folder_defaults import merged_defaults
from flowrunner.model.cron_text import ScheduleError
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.flow import MAX_DELAY_S
from flowrunner.model.ids import Json
from flowrunner.model.quantities import QuantityError, parse_duration, render_duration
from flowrunner.model.schedule import parse_cron

_DOUBLINGS = 40
"""Beyond this a doubled delay is longer than any duration."""

_MOST_DELAYS = 10**15
"""So many of the shortest delays take longer than any timeout: more need not be counted."""

_DEFAULT_DELAY = "1s"
_OF_REPEATS = ("delay", "backoff", "max_delay", "jitter", "if")
_SAMPLE = 5
"""Slots looked at for the shortest distance: a day of the usual expressions."""

_START, _END = datetime(2027, 1, 1, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)


def check_limits(subject: Subject) -> Iterator[Finding]:
    """Yields warnings about limits out of reach, and findings about retries that never happen."""
    whole = _seconds(subject.data.get("timeout"))
    own = subject.data.get("defaults", {})
    defaults = merged_defaults(subject.inherited or {}, own)
    if whole is not None:
        yield from _beyond_flow(subject, ("defaults", "timeout"), own.get("timeout"), whole)
    last = _seconds(subject.data.get("finally_timeout"))
    for path, raw in subject.all_nodes:
        bound = last if path[0] == "finally" else whole
        if bound is not None:
            yield from _beyond_flow(subject, (*path, "timeout"), raw.get("timeout"), bound)
        if raw.get("type") == "wait":
            yield from _wait(subject, path, raw, bound)
        if "retry" in raw:
            given = defaults.get("retry", {}) if _acts_outside(subject, raw) else {}
            yield from _retry(subject, (*path, "retry"), given, raw["retry"], bound)
    for index, raw in enumerate(subject.triggers):
        if "jitter" in raw:
            yield from _jitter(subject, ("triggers", index), raw)


def _acts_outside(subject: Subject, raw: Mapping[str, Json]) -> bool:
    """Whether the defaults of `retry` reach a node."""
    facts = facts_of(raw, subject.catalog)
    return facts is not None and facts.acts_outside


def _beyond_flow(subject: Subject, path: Path, written: Json, whole: float) -> Iterator[Finding]:
    seconds = _seconds(written)
    if seconds is not None and seconds > whole:
        message = f"a timeout of {written} is never reached: {_ends(path, whole)}"
        yield _warning(subject, path, message)


def _ends(path: Path, bound: float) -> str:
    """Returns what a bound puts an end to."""
    what = "'finally'" if path[0] == "finally" else "the flow"
    return f"{what} ends after {render_duration(bound)}"


def _wait(
    subject: Subject, path: Path, raw: Mapping[str, Json], whole: float | None
) -> Iterator[Finding]:
    params = node_params(raw)
    own = _seconds(raw.get("timeout"))
    if "probe" in params:
        yield from _probe(subject, path, raw, min(own or inf, whole or inf))
        return
    written = params.get("for")
    seconds = _seconds(written)
    if seconds is None:
        return
    at = (*path, "params", "for")
    if own is not None and seconds > own:
        message = f"a wait of {written} always times out: the node's timeout is {raw['timeout']}"
        yield _warning(subject, at, message)
    elif whole is not None and seconds > whole:
        message = f"a wait of {written} never ends: {_ends(path, whole)}"
        yield _warning(subject, at, message)


def _probe(
    subject: Subject, path: Path, raw: Mapping[str, Json], bound: float
) -> Iterator[Finding]:
    written = node_params(raw).get("every")
    seconds = _seconds(written)
    if seconds is not None and seconds >= bound:
        message = f"there is one probe at most: the wait ends after {render_duration(bound)}"
        yield _warning(subject, (*path, "params", "every"), message)


def _retry(
    subject: Subject,
    path: Path,
    defaults: Mapping[str, Json],
    written: Mapping[str, Json],
    whole: float | None,
) -> Iterator[Finding]:
    retry = {**defaults, **written}
    if "max_attempts" not in retry and subject.inherited is None:
        return
    if retry.get("max_attempts", 1) == 1:
        for key in _OF_REPEATS:
            if key in written and not subject.is_doubtful(*path):
                yield subject.document.finding(
                    codes.EXCLUSIVE_KEYS,
                    f"{key!r} has no effect on a single attempt",
                    path=(*path, key),
                    key=True,
                    hint="max_attempts counts the first try: write 2 or more",
                )
        return
    yield from _beyond_max_delay(subject, path, retry, written)
    delays = _shortest_delays(retry)
    if whole is not None and delays > whole:
        message = (
            f"the last of {retry['max_attempts']} attempts is never reached: the delays take "
            f"{render_duration(delays)}, and {_ends(path, whole)}"
        )
        yield _warning(subject, path, message)


def _beyond_max_delay(
    subject: Subject, path: Path, retry: Mapping[str, Json], written: Mapping[str, Json]
) -> Iterator[Finding]:
    delay, longest = _seconds(retry.get("delay")), _seconds(retry.get("max_delay"))
    if delay is not None and longest is not None and delay > longest:
        key = "delay" if "delay" in written else "max_delay"
        message = f"a delay of {retry['delay']} is never reached: max_delay is {retry['max_delay']}"
        yield _warning(subject, (*path, key) if key in written else path, message)


def _shortest_delays(retry: Mapping[str, Json]) -> float:
    """Returns the least that all delays together may take, in seconds.

    Source: FLOW_FORMAT 4, `retry`; jitter is a part of the delay, from 0 to 1.
    """
    delay = _seconds(retry.get("delay", _DEFAULT_DELAY)) or 0.0
    longest = _seconds(retry.get("max_delay")) or max(MAX_DELAY_S, delay)
    jitter = retry.get("jitter", 0)
    least = 1 - jitter if isinstance(jitter, int | float) else 0
    count = min(int(retry["max_attempts"]) - 1, _MOST_DELAYS)
    return _sum_of_delays(str(retry.get("backoff")), delay, longest, count) * least


def _sum_of_delays(backoff: str, delay: float, longest: float, count: int) -> float:
    """Returns the seconds of `count` delays, none of them beyond `longest`, without a long loop."""
    if backoff == "linear" and delay:
        growing = min(count, int(longest / delay))
        return delay * growing * (growing + 1) / 2 + longest * (count - growing)
    if backoff == "exponential":
        doubled = min(count, _DOUBLINGS)
        total = sum(min(delay * 2.0**number, longest) for number in range(doubled))
        return total + min(delay * 2.0**_DOUBLINGS, longest) * (count - doubled)
    return min(delay, longest) * count


def _jitter(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    jitter = _seconds(raw["jitter"])
    if jitter is None:
        return
    period = _seconds(raw.get("every"))
    if isinstance(raw.get("cron"), str):
        period = _shortest_distance(raw["cron"])
    if period is not None and jitter > period:
        message = (
            f"a jitter of {raw['jitter']} is longer than the {render_duration(period)} between two "
            "slots"
        )
        yield _warning(subject, (*path, "jitter"), message)


@lru_cache(maxsize=1_024)
def _shortest_distance(cron: str) -> float | None:
    """Returns the shortest distance among the first slots of an expression, in seconds."""
    try:
        slots = islice(parse_cron(cron).slots_between(_START, _END), _SAMPLE)
    except ScheduleError:
        return None
    distances = [(later - earlier).total_seconds() for earlier, later in pairwise(slots)]
    return min(distances, default=None)


def _seconds(written: Json) -> float | None:
    """Returns the seconds of a duration, or None for anything else: told elsewhere."""
    try:
        return parse_duration(written) if isinstance(written, str) else None
    except QuantityError:
        return None


def _warning(subject: Subject, path: Path, message: str) -> Finding:
    return subject.document.finding(
        codes.OUT_OF_REACH, message, path=path, severity=Severity.WARNING
    )
