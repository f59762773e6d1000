"""Triggers: their ids, schedules, webhooks, and the inputs they bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time

from flowrunner.definitions import codes
from flowrunner.definitions.build_triggers import trigger_ids
from flowrunner.definitions.checks.files import check_file_trigger
from flowrunner.definitions.checks.inputs import input_spec, misfits
from flowrunner.definitions.checks.subject import Subject
from flowrunner.definitions.checks.webhooks import check_webhook
from flowrunner.definitions.document import Path
from flowrunner.definitions.hints import did_you_mean
from flowrunner.definitions.templates import holds_expression
from flowrunner.definitions.value_hints import straight_quotes_hint
from flowrunner.model.cron_text import ScheduleError, has_fixed_hour
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json
from flowrunner.model.quantities import QuantityError, parse_duration
from flowrunner.model.schedule import DstPolicy, Skipped, parse_cron

_RESERVED = frozenset({"manual", "backfill", "retry"})
_SHORTEST_S, _LONGEST_S = 1, 366 * 86_400
_SHORTEST_WINDOW_S = 60
"""Seconds. A slot less late than this is in time, whatever the window."""


def check_triggers(subject: Subject) -> Iterator[Finding]:
    """Yields findings about every trigger."""
    yield from _ids(subject)
    for index, raw in enumerate(subject.triggers):
        path: Path = ("triggers", index)
        if raw["type"] == "schedule":
            yield from _schedule(subject, path, raw)
        elif raw["type"] == "webhook":
            yield from check_webhook(subject, path, raw)
        elif raw["type"] == "file":
            yield from check_file_trigger(subject, path, raw)
        yield from _inputs(subject, path, raw)
    yield from _paths(subject)
    yield from _promises(subject)


def _promises(subject: Subject) -> Iterator[Finding]:
    """Yields the finding about a promise that only slots could keep, where there are none."""
    types = {raw["type"] for raw in subject.triggers}
    if "start_within" in subject.data.get("sla", {}) and "schedule" not in types:
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            "'start_within' has no effect without a trigger of type 'schedule'",
            path=("sla", "start_within"),
            key=True,
        )


def _ids(subject: Subject) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(trigger_ids(subject.triggers)):
        path: Path = ("triggers", index)
        if name is None:
            kind = subject.triggers[index]["type"]
            message = f"several triggers are of type {kind!r}: each needs an 'id'"
        elif name in _RESERVED:
            message = f"the trigger id {name!r} is reserved"
        elif name in seen:
            message = f"the trigger id {name!r} is taken"
        else:
            seen.add(name)
            continue
        at = (*path, "id") if "id" in subject.triggers[index] else path
        yield subject.document.finding(codes.TRIGGER_ID, message, path=at)


def _schedule(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    document = subject.document
    if "cron" in raw and "every" in raw:
        yield document.finding(
            codes.EXCLUSIVE_KEYS,
            "a schedule has either 'cron' or 'every'",
            path=(*path, "every"),
            key=True,
        )
    if "cron" in raw and not holds_expression(raw["cron"]):
        yield from _cron(subject, path, raw)
    if "cron" not in raw and "every" not in raw:
        yield from _missing(subject, path, "the key 'cron' or 'every' is missing")
    if "every" in raw:
        yield from _every(subject, path, raw)
    if "timezone" in raw and not holds_expression(raw["timezone"]):
        yield from _zone(subject, path, raw)
    if "dst" in raw:
        yield from _dst(subject, path, raw)
    if "catchup_window" in raw:
        yield from _window(subject, path, raw)


def _missing(subject: Subject, path: Path, message: str) -> Iterator[Finding]:
    """Yields the finding about a missing key, unless it may be one that the schema complains of."""
    if not subject.is_doubtful(*path):
        yield subject.document.finding(codes.MISSING_KEY, message, path=path)


def _cron(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    try:
        parse_cron(raw["cron"])
    except ScheduleError as error:
        yield subject.document.finding(
            codes.MALFORMED_CRON,
            error.message,
            path=(*path, "cron"),
            hint=straight_quotes_hint(raw["cron"]) or error.hint,
        )
        return
    if "timezone" not in raw and has_fixed_hour(raw["cron"]):
        yield subject.document.finding(
            codes.NO_TIME_ZONE,
            "a fixed hour without a time zone is in UTC",
            path=(*path, "cron"),
            hint="add timezone: Europe/Berlin or the like, or timezone: UTC if you mean it",
            severity=Severity.WARNING,
        )


def _zone(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    if "every" in raw:
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            "'timezone' has no effect on 'every', which is aligned to the epoch",
            path=(*path, "timezone"),
            key=True,
        )
        return
    try:
        parse_cron("@hourly", raw["timezone"])
    except ScheduleError as error:
        yield subject.document.finding(
            codes.UNKNOWN_TIME_ZONE, error.message, path=(*path, "timezone"), hint=error.hint
        )


def _dst(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    """Yields a finding for a policy of a schedule that follows elapsed time."""
    why = "'every', which is aligned to the epoch" if "every" in raw else ""
    if "cron" in raw and not _may_have_fixed_hour(raw["cron"]):
        why = "an hour that begins with *, which follows elapsed time"
    if why:
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            f"'dst' has no effect on {why}",
            path=(*path, "dst"),
            key=True,
        )
    elif raw["dst"].get("skipped") == Skipped.SKIP and _skips_all(raw, subject.as_of):
        yield subject.document.finding(
            codes.MALFORMED_CRON,
            "the schedule is never due: the clock skips each of its times, and 'dst' leaves it out",
            path=(*path, "dst", "skipped"),
            hint=f"dst: {{skipped: {Skipped.RUN_AFTER}}} starts right after each gap",
        )


def _skips_all(raw: Mapping[str, Json], as_of: date) -> bool:
    """Whether a schedule that leaves lost times out has no others; False for one that is bad."""
    try:
        schedule = parse_cron(raw["cron"], raw["timezone"], DstPolicy(skipped=Skipped.SKIP))
    except (ScheduleError, KeyError):
        return False
    return schedule.next_after(datetime.combine(as_of, time(), UTC)) is None


def _may_have_fixed_hour(cron: str) -> bool:
    """Whether an expression has a fixed hour, or is a bad one: that is told elsewhere."""
    try:
        return has_fixed_hour(cron)
    except (ScheduleError, IndexError):
        return True


def _window(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    if raw.get("catchup") == "none":
        yield subject.document.finding(
            codes.EXCLUSIVE_KEYS,
            "'catchup_window' has no effect with 'catchup: none'",
            path=(*path, "catchup_window"),
            key=True,
        )
        return
    try:
        seconds = parse_duration(raw["catchup_window"])
    except QuantityError:
        return
    if not _SHORTEST_WINDOW_S <= seconds <= _LONGEST_S:
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED,
            "'catchup_window' takes 1m to 366d",
            path=(*path, "catchup_window"),
        )


def _every(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    try:
        seconds = parse_duration(raw["every"])
    except QuantityError:
        return
    if not _SHORTEST_S <= seconds <= _LONGEST_S or seconds != int(seconds):
        yield subject.document.finding(
            codes.VALUE_NOT_ALLOWED,
            "'every' takes whole seconds from 1s to 366d",
            path=(*path, "every"),
        )


def _paths(subject: Subject) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    ids = trigger_ids(subject.triggers)
    for index, raw in enumerate(subject.triggers):
        if raw["type"] != "webhook":
            continue
        if "path" not in raw and ids[index] is None:
            continue  # without an id it has no path yet, and the id is told to be missing
        claimed = raw.get("path", f"{subject.data['name']}/{ids[index]}")
        if claimed in seen:
            yield subject.document.finding(
                codes.WEBHOOK_PATH_TAKEN,
                f"the path {claimed!r} is taken by the trigger before",
                path=("triggers", index, "path"),
            )
        seen.setdefault(claimed, index)


def _inputs(subject: Subject, path: Path, raw: Mapping[str, Json]) -> Iterator[Finding]:
    given, declared = raw.get("inputs", {}), subject.inputs
    for name, value in given.items():
        if subject.is_doubtful("inputs", name):
            continue
        if name not in declared:
            yield subject.document.finding(
                codes.UNKNOWN_INPUT,
                f"the flow has no input {name!r}",
                path=(*path, "inputs", name),
                key=True,
                hint=did_you_mean(name, declared),
            )
        elif not (isinstance(value, str) and "${{" in value):
            at = (*path, "inputs", name)
            for where, problem in misfits(at, value, input_spec(declared[name]), "value"):
                yield subject.document.finding(codes.DEFAULT_MISFIT, problem, path=where)
    for name, spec in declared.items():
        is_given = "default" in spec or name in given
        if not is_given and not subject.is_doubtful("inputs", name):
            yield subject.document.finding(
                codes.MISSING_INPUT,
                f"this trigger leaves the required input {name!r} without a value",
                path=path,
                hint=f"give it a default, or add inputs: {{{name}: …}} to the trigger",
            )
