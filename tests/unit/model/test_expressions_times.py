"""What the functions over instants give and refuse, on every host alike."""

from __future__ import annotations

import pytest

from flowrunner.model.expressions import ExpressionError, ExpressionSyntaxError, parse_expression
from flowrunner.model.ids import Json
from tests.fakes.scope import DictScope

DATA: dict[str, Json] = {
    "t": "2026-03-05T09:07:03Z",
    "evening": "2026-12-31T23:30:00.25+01:00",
    "first": "0001-01-01T00:00:00+14:00",
    "last": "9999-12-31T23:59:59Z",
    "old": "1850-06-01T12:00:00Z",
    "bad": "%Q",
    "nowhere": "Mars/Olympus",
    "five": "5",
    "n": 5,
}


def value_of(text: str) -> Json:
    return parse_expression(text).evaluate(DictScope(DATA))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("now()", "2026-03-30T02:30:00+00:00", id="now"),
        pytest.param("now() == now()", True, id="now-stands-still"),
        pytest.param("date('%F', now())", "2026-03-30", id="date-of-now"),
        pytest.param("date('%Y-%m-%d %H:%M:%S', t)", "2026-03-05 09:07:03", id="padded"),
        pytest.param("date('%F %T', t, 'Europe/Berlin')", "2026-03-05 10:07:03", id="zone"),
        pytest.param("date('%F %z', evening)", "2026-12-31 +0000", id="utc-without-a-zone"),
        pytest.param(
            "date('%F %z', evening, 'Asia/Kathmandu')", "2027-01-01 +0545", id="quarter-hours"
        ),
        pytest.param("date('%z', t, 'America/New_York')", "-0500", id="west"),
        pytest.param("date('%z', old, 'America/New_York')", "-0456", id="before-zones"),
        pytest.param("date('%a %A %b %B', t)", "Thu Thursday Mar March", id="english-names"),
        pytest.param("date('%I:%M %p', t)", "09:07 AM", id="morning"),
        pytest.param("date('%I %p', '2026-03-05T00:00:00Z')", "12 AM", id="midnight"),
        pytest.param("date('%I %p', '2026-03-05T12:00:00Z')", "12 PM", id="noon"),
        pytest.param("date('%j %y %u', t)", "064 26 4", id="day-of-year-and-week"),
        pytest.param("date('%G-W%V', '2027-01-01T12:00:00Z')", "2026-W53", id="iso-week"),
        pytest.param("date('%s', t)", "1772701623", id="epoch"),
        pytest.param("date('%s', '1969-12-31T23:59:59.5Z')", "-1", id="before-the-epoch"),
        pytest.param("date('100%%', t)", "100%", id="percent"),
        pytest.param("date('', t)", "", id="nothing"),
        pytest.param("date('%Y', '0099-01-01T00:00:00Z')", "0099", id="four-digits-of-year"),
        pytest.param("add(t, '1d')", "2026-03-06T09:07:03+00:00", id="add"),
        pytest.param("add(t, '-1d')", "2026-03-04T09:07:03+00:00", id="add-back"),
        pytest.param("add(t, '0s')", "2026-03-05T09:07:03+00:00", id="add-nothing"),
        pytest.param("add(evening, '30m')", "2027-01-01T00:00:00.250000+01:00", id="keeps-offset"),
        pytest.param("add(t, '500ms')", "2026-03-05T09:07:03.500000+00:00", id="milliseconds"),
        pytest.param(
            "date('%T', add('2026-03-28T12:00:00Z', '1d'), 'Europe/Berlin')",
            "14:00:00",
            id="a-day-is-24-hours",
        ),
        pytest.param("add('2026-03-05t09:07:03z', '1s')", "2026-03-05T09:07:04+00:00", id="lower"),
    ],
)
def test_functions_over_instants_give(text: str, value: Json) -> None:
    """Each function gives what the documentation says."""
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        pytest.param("date('%F', '2026-03-05')", "not an instant", 11, id="a-date-alone"),
        pytest.param("date('%F', '2026-03-05T09:07:03')", "not an instant", 11, id="no-offset"),
        pytest.param("date('%F', '2026-13-05T09:07:03Z')", "not an instant", 11, id="month-13"),
        pytest.param("date('%F', '2026-03-05T25:07:03Z')", "not an instant", 11, id="hour-25"),
        pytest.param("date('%F', '2026-03-05T09:07:60Z')", "not an instant", 11, id="leap-second"),
        pytest.param("date('%F', '2026-W10-4T09:07:03Z')", "not an instant", 11, id="week-date"),
        pytest.param("date('%F', '٢026-03-05T09:07:03Z')", "not an instant", 11, id="other-digits"),
        pytest.param("date('%F', n)", "date takes a string here, not a number", 11, id="number"),
        pytest.param("date('%F', nothing)", "date does not take null", 11, id="null"),
        pytest.param("date(bad, t)", "date does not know a directive", 5, id="directive-of-data"),
        pytest.param("date('%F', t, nowhere)", "the time zone is not known", 14, id="zone-of-data"),
        pytest.param("date('%F', first)", "outside of the years", 11, id="before-year-1"),
        pytest.param("date('%F', last, 'Asia/Tokyo')", "outside of the years", 11, id="year-10000"),
        pytest.param("add(last, '1d')", "outside of the years", 4, id="add-beyond"),
        pytest.param("add(first, '-1d')", "outside of the years", 4, id="add-before"),
        pytest.param("add(t, five)", "not a duration", 7, id="bare-number-of-data"),
        pytest.param("add('x', '1d')", "not an instant", 4, id="add-to-no-instant"),
    ],
)
def test_functions_over_instants_refuse(text: str, problem: str, offset: int) -> None:
    """What is no instant, zone, layout or duration is refused at its argument."""
    with pytest.raises(ExpressionError) as caught:
        value_of(text)
    assert problem in caught.value.problem
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        pytest.param("date('%Q', t)", "date does not know a directive", 5, id="directive"),
        pytest.param(
            "date('%E', t)", "date does not know a directive", 5, id="directive-of-the-locale"
        ),
        pytest.param(
            "date('100%', t)", "date does not know a directive", 5, id="percent-at-the-end"
        ),
        pytest.param(
            "date('%\n', t)", "date does not know a directive", 5, id="percent-and-a-line-break"
        ),
        pytest.param("date('%F', t, 'Mars')", "'Mars' is not known", 14, id="zone"),
        pytest.param("date('%F', t, '../etc/passwd')", "is not known", 14, id="zone-path"),
        pytest.param("add(t, '5')", "bare number", 7, id="bare-number"),
        pytest.param("add(t, '--1d')", "'-1d' is not a duration", 7, id="two-signs"),
        pytest.param("add(t, '1d-1h')", "is not a duration", 7, id="sign-inside"),
        pytest.param("add(t, '-')", "is not a duration", 7, id="sign-alone"),
        pytest.param("add(t, '')", "is not a duration", 7, id="empty"),
    ],
)
def test_literals_of_times_are_refused_when_read(text: str, problem: str, offset: int) -> None:
    """A literal layout, zone or duration is judged with the expression, at its own column."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        parse_expression(text)
    assert problem in caught.value.message
    assert caught.value.offset == offset
