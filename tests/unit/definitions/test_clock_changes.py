"""Promises of the warning FR503: when it is given, and how long it holds."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from flowrunner.definitions.checks import Subject
from flowrunner.definitions.checks.clock_changes import check_clock_changes
from flowrunner.definitions.compiler import Candidate, Compiler
from flowrunner.definitions.yaml_reader import read_yaml
from tests.fakes.clock import FakeClock
from tests.fakes.nodes import builtin_nodes

BERLIN = "timezone: Europe/Berlin"


def compiled(trigger: str, today: datetime = datetime(2027, 3, 15, tzinfo=UTC)) -> Candidate:
    text = f"version: 1\nname: x\nnodes: [{{id: a, run: x}}]\ntriggers: [{{{trigger}}}]\n"
    compiler = Compiler(builtin_nodes(), FakeClock(today))
    return compiler.read(text.encode(), file="f", account="default")


def messages(candidate: Candidate) -> list[str]:
    return [f.message for f in candidate.findings if f.code == "FR503"]


def test_flow_with_the_warning_is_in_force() -> None:
    """The slots are accounted for either way, so the warning keeps nobody out."""
    candidate = compiled(f"type: schedule, cron: 30 2 * * *, {BERLIN}")

    assert len(messages(candidate)) == 2
    assert candidate.spec is not None


def test_dates_are_those_of_two_years_from_this_month() -> None:
    """A date of this month is named though it may be past, one beyond two years is not."""
    trigger = f"type: schedule, cron: 30 2 * * *, {BERLIN}"
    repeat, gap = messages(compiled(trigger, datetime(2027, 10, 31, 23, tzinfo=UTC)))

    assert gap.startswith("2028-03-26 02:30 ")
    assert gap.endswith("; likewise on 2029-03-25")
    assert repeat.startswith("2027-10-31 02:30 ")
    assert repeat.endswith("; likewise on 2028-10-29")


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param("type: schedule, cron: '30 2 * * *', timezone: UTC", id="utc"),
        pytest.param("type: schedule, cron: '30 2 * * *', timezone: Etc/UTC", id="fixed-offset"),
        pytest.param(f"type: schedule, cron: '30 4 * * *', {BERLIN}", id="another-hour"),
        pytest.param(f"type: schedule, cron: '*/15 * * * *', {BERLIN}", id="elapsed-time"),
        pytest.param(f"type: schedule, cron: '@hourly', {BERLIN}", id="word"),
        pytest.param("type: schedule, every: 15m", id="every"),
    ],
)
def test_schedule_that_no_change_touches_has_no_warning(trigger: str) -> None:
    """Only fixed times that are lost or repeated are worth a word."""
    assert compiled(trigger).findings == ()


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(f"type: schedule, cron: '30 2', {BERLIN}", id="fields"),
        pytest.param(f"type: schedule, cron: '', {BERLIN}", id="empty"),
        pytest.param("type: schedule, cron: '30 2 * * *', timezone: Berlin", id="zone"),
        pytest.param(f"type: schedule, cron: '30 2 31 2 *', {BERLIN}", id="never-due"),
    ],
)
def test_bad_schedule_has_its_own_finding_alone(trigger: str) -> None:
    """What cannot be a schedule is told so and not foretold."""
    assert messages(compiled(trigger)) == []
    assert len(compiled(trigger).findings) == 1


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{skipped: skip}", ["comes twice"]),
        ("{repeated: twice}", ["does not exist"]),
        ("{skipped: run_after, repeated: once}", []),
    ],
)
def test_written_policy_silences_the_warning_of_its_kind(policy: str, words: list[str]) -> None:
    """Who writes a policy has thought of the case; `dst` is not in the schema, the check is."""
    trigger = f"type: schedule, cron: 30 2 * * *, {BERLIN}, dst: {policy}"
    document = read_yaml(f"nodes: []\ntriggers: [{{{trigger}}}]\n".encode(), file="f")
    subject = Subject(
        document=document, data=document.data, catalog=builtin_nodes(), as_of=date(2027, 3, 1)
    )
    found = list(check_clock_changes(subject))

    assert len(found) == len(words)
    assert all(word in f.message for word, f in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("trigger", "as_of"),
    [
        (f"type: schedule, cron: '30 2 * * *', {BERLIN}", date(2027, 3, 1)),
        (f"type: schedule, cron: '30 4 * * *', {BERLIN}", date(2027, 3, 1)),
        ("type: schedule, cron: '30 2 * * *', timezone: UTC", None),
        ("type: schedule, every: 15m", None),
    ],
)
def test_candidate_knows_for_which_month_it_holds(trigger: str, as_of: date | None) -> None:
    """A result that may change with the calendar says so; all others hold for ever."""
    clock = FakeClock(datetime(2027, 3, 31, 23, 59, tzinfo=UTC))
    compiler = Compiler(builtin_nodes(), clock)
    candidate = compiled(trigger)

    assert candidate.as_of == as_of
    assert compiler.is_current(candidate)
    clock.advance(60)
    assert compiler.is_current(candidate) == (as_of is None)
