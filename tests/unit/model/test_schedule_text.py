"""Promises of `flowrunner.model.schedule`: what may be written, and what is said otherwise."""

from __future__ import annotations

import pytest

from flowrunner.model.cron_text import ScheduleError, has_fixed_hour
from flowrunner.model.schedule import CronSchedule, EverySchedule, parse_cron


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        pytest.param("@hourly", "0 * * * *", id="hourly"),
        pytest.param("@daily", "0 0 * * *", id="daily"),
        pytest.param("@weekly", "0 0 * * 0", id="weekly"),
        pytest.param("@monthly", "0 0 1 * *", id="monthly"),
        pytest.param("@yearly", "0 0 1 1 *", id="yearly"),
        pytest.param("  30  2 *\t* mon-fri ", "30 2 * * MON-FRI", id="spaces-and-small-names"),
        pytest.param("0,30 8-18/2 L feb,Dec 5L", "0,30 8-18/2 L FEB,DEC 5L", id="every-form"),
        pytest.param("5/20 * * * 1#2,sun#5", "5/20 * * * 1#2,SUN#5", id="open-step-and-nth"),
    ],
)
def test_parse_cron_accepts_and_normalises(text: str, expression: str) -> None:
    """What the format allows is taken and kept in one spelling."""
    assert parse_cron(text, "UTC") == CronSchedule(expression=expression)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        pytest.param("0 2 * * root", "'root' is no good day-of-week", id="field"),
        pytest.param("0 2 31 feb *", "'0 2 31 feb *'", id="never-due-by-the-library"),
        pytest.param("0  2 * * * root", "'0 2 * * * root'", id="too-many-fields"),
        pytest.param("0 0 */9 feb mon#5", "'0 0 */9 feb mon#5'", id="never-due"),
    ],
)
def test_refusal_quotes_what_was_written(text: str, quoted: str) -> None:
    """A message shows the author's own words, not what we made of them."""
    with pytest.raises(ScheduleError) as caught:
        parse_cron(text, "UTC")
    assert quoted in caught.value.message


@pytest.mark.parametrize(
    ("text", "written"),
    [("@Daily", "@Daily"), (" 30  2 * * mon-fri", "30 2 * * mon-fri")],
)
def test_schedule_knows_what_was_written(text: str, written: str) -> None:
    """For people a schedule has the words of its file; they make no difference to it."""
    schedule = parse_cron(text, "UTC")
    assert schedule.written == written
    plain = CronSchedule(expression=schedule.expression)
    assert (schedule, schedule.fingerprint) == (plain, plain.fingerprint)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("", "minute hour day-of-month", id="empty"),
        pytest.param("0 0 * *", "minute hour day-of-month", id="four-fields"),
        pytest.param("0 30 2 * * *", "without seconds", id="six-fields"),
        pytest.param("CRON_TZ=UTC 0 2 * * *", "zone", id="zone-prefix"),
        pytest.param("@reboot", "write a trigger of `type: start`", id="reboot"),
        pytest.param("@annually", "@yearly", id="annually"),
        pytest.param("@midnight", "@daily", id="midnight"),
        pytest.param("@every 5m", "every: ", id="every"),
        pytest.param("@fortnightly", "@hourly", id="unknown-word"),
        pytest.param("@daily 0", "@hourly", id="word-with-more"),
        pytest.param("60 * * * *", "0-59", id="minute-too-large"),
        pytest.param("*/0 * * * *", "0-59", id="step-zero"),
        pytest.param("*/120 * * * *", "0-59", id="step-of-three-digits"),
        pytest.param("5-5/2 * * * *", "0-59", id="step-over-one-value"),
        pytest.param("1,,2 * * * *", "0-59", id="empty-list-item"),
        pytest.param("MON * * * *", "0-59", id="name-in-the-wrong-field"),
        pytest.param("0 24 * * *", "0-23", id="hour-24"),
        pytest.param("0 ? * * *", "0-23", id="question-mark"),
        pytest.param("0 22-2 * * *", "0-23", id="range-backwards"),
        pytest.param("0 ٣ * * *", "0-23", id="foreign-digit"),
        pytest.param("0 0 0 * *", "1-31", id="day-zero"),
        pytest.param("0 0 LW * *", "1-31", id="last-weekday"),
        pytest.param("0 0 L/2 * *", "1-31", id="step-over-last"),
        pytest.param("0 0 31 2 *", "no date fits", id="31-february"),
        pytest.param("0 0 31 4,6,9,11 *", "no date fits", id="31-of-short-months"),
        pytest.param("0 0 * 13 *", "JAN-DEC", id="month-13"),
        pytest.param("0 0 * * 8", "SUN-SAT", id="weekday-8"),
        pytest.param("0 0 * * FRI-SUN", "SUN-SAT", id="names-backwards"),
        pytest.param("0 0 * * FRIL", "5L", id="last-by-name"),
        pytest.param("0 0 * * L", "5L", id="last-without-day"),
        pytest.param("0 0 * * 1#6", "5#2", id="sixth-monday"),
        pytest.param("0 0 */9 2 1#5", "no date fits", id="never-due"),
        pytest.param("0 " * 300, "at most 500", id="too-long"),
        pytest.param("9" * 490 + " * * * *", "0-59", id="huge-number"),
    ],
)
def test_parse_cron_refuses_with_a_hint(text: str, hint: str) -> None:
    """What the format does not allow is refused, naming the key and saying what to write."""
    with pytest.raises(ScheduleError) as caught:
        parse_cron(text, "UTC")
    error = caught.value
    assert (error.field, error.code) == ("cron", "schedule")
    assert hint in error.hint
    assert len(error.message) < 200


@pytest.mark.parametrize(
    "zone",
    [
        pytest.param("", id="empty"),
        pytest.param("Europe", id="folder"),
        pytest.param("europe/berlin", id="small-letters"),
        pytest.param("UTC+1", id="offset"),
        pytest.param("../UTC", id="path-upwards"),
        pytest.param("/etc/localtime", id="absolute-path"),
        pytest.param("localtime", id="zone-of-the-host"),
        pytest.param("right/UTC", id="leap-seconds"),
        pytest.param("a\0b", id="null-byte"),
        pytest.param("x" * 5_000, id="too-long"),
    ],
)
def test_parse_cron_refuses_what_is_no_zone(zone: str) -> None:
    """A zone is an IANA name; paths, folders and the host's own zone are not."""
    with pytest.raises(ScheduleError) as caught:
        parse_cron("@daily", zone)
    assert caught.value.field == "timezone"
    assert "IANA" in caught.value.hint


@pytest.mark.parametrize(
    ("expression", "fixed"),
    [
        ("0 2 * * *", True),
        ("* 0-23 * * *", True),
        ("@daily", True),
        ("0 * * * *", False),
        ("0 */2 * * *", False),
        ("@hourly", False),
    ],
)
def test_has_fixed_hour_looks_at_the_first_sign_of_the_hour(
    expression: str, *, fixed: bool
) -> None:
    """Only an hour field that begins with a star follows elapsed time."""
    assert has_fixed_hour(expression) is fixed


@pytest.mark.parametrize("period_s", [0, -60, 366 * 86_400 + 1])
def test_every_refuses_a_period_out_of_range(period_s: int) -> None:
    """A period is one second to 366 days."""
    with pytest.raises(ScheduleError) as caught:
        EverySchedule(period_s=period_s)
    assert caught.value.field == "every"
