"""Which rules tell a failure, and which that it is over."""

from __future__ import annotations

from datetime import datetime

import pytest

from flowrunner.model.notify import NotifyOn, NotifyRule, Window
from flowrunner.model.states import ExecutionState
from flowrunner.notify.alarms import QUIET, after_end, alarm_of
from tests.fakes.records import minutes

FAILED, TIMED_OUT = ExecutionState.FAILED, ExecutionState.TIMED_OUT
CANCELLED, SUCCEEDED = ExecutionState.CANCELLED, ExecutionState.SUCCEEDED
BOTH = (NotifyOn.FAILED, NotifyOn.RECOVERED)


def told(rule: NotifyRule, *ends: tuple[ExecutionState, datetime]) -> str:
    """Returns a letter for each end: F and R for what was told, S for a success, or a dot."""
    alarm, found = QUIET, ""
    for state, at in ends:
        alarm, rules = after_end(alarm_of(alarm.to_text()), (rule,), state, at)
        letters = [str(on)[0].upper() for on, those in rules.items() if those]
        found += "".join(letters) or "."
    return found


def ends(text: str) -> list[tuple[ExecutionState, datetime]]:
    """Returns ends, one a minute: f, t, c and s; a blank is a minute without one."""
    words = {"f": FAILED, "t": TIMED_OUT, "c": CANCELLED, "s": SUCCEEDED}
    return [(words[word], minutes(n)) for n, word in enumerate(text) if word != " "]


@pytest.mark.parametrize(
    ("rule", "happened", "expected"),
    [
        pytest.param({}, "ftcfss", "FF.FR.", id="each-failure-and-one-recovery"),
        pytest.param({}, "cs", "..", id="cancelled-is-no-failure"),
        pytest.param({"after_consecutive": 3}, "ffffs", "..FFR", id="third-in-a-row-on"),
        pytest.param({"after_consecutive": 3}, "ffcfs", "...FR", id="cancelled-breaks-no-row"),
        pytest.param({"after_consecutive": 3}, "ffsffs", "......", id="success-breaks-it"),
        pytest.param({"on": (NotifyOn.RECOVERED,)}, "fs", ".R", id="would-have-been-told"),
        pytest.param(
            {"on": (NotifyOn.RECOVERED,), "after_consecutive": 2}, "fsffs", "....R", id="would-not"
        ),
        pytest.param({"on": (NotifyOn.SUCCEEDED,)}, "sfs", "S.S", id="every-success"),
        pytest.param(
            {"window": Window(failures=3, within_s=300)}, "fsfsfs", "....FR", id="not-in-a-row"
        ),
        pytest.param(
            {"window": Window(failures=3, within_s=300)}, "f f   ff f", "....F", id="rolling-window"
        ),
        pytest.param(
            {"window": Window(failures=2, within_s=300), "after_consecutive": 2},
            "fsff",
            "...F",
            id="both-must-hold",
        ),
    ],
)
def test_failures_are_told_by_the_rule(
    rule: dict[str, object], happened: str, expected: str
) -> None:
    """Failed and timed out count, in a row and within a window; the state survives being kept."""
    made = NotifyRule(**{"on": BOTH, "channels": ("a",), **rule})  # type: ignore[arg-type]
    assert told(made, *ends(happened)) == expected


def test_only_what_a_window_may_see_is_kept() -> None:
    """However often a flow fails, what is kept of it has a bound."""
    rule = NotifyRule(on=BOTH, channels=("a",), window=Window(failures=3, within_s=600))
    alarm = QUIET
    for number in range(1_000):
        alarm, _ = after_end(alarm, (rule,), FAILED, minutes(number))
    assert (alarm.failures, len(alarm.recent)) == (1_000, 3)
    quiet, _ = after_end(alarm, (), SUCCEEDED, minutes(1_001))
    assert (quiet.failures, quiet.told) == (0, frozenset())
