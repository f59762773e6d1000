"""The attempts of one node: how many there must be, and how long between them.

Source: FLOW_FORMAT 4, `retry` and `on_interrupt`. As `semantics.py`, it reads the flow's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowrunner.model.ids import Json

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_RERUN_BY_ITSELF = ("wait", "switch", "noop", "set", "fail", "flow")
_GOES_ON = ("wait", "flow")
"""Types whose attempts a restart does not disturb, unless the node says `fail`."""

_FINAL = ("fail",)
"""Types whose failures no attempt follows."""

_FINAL_REASONS = ("concurrency_deadlock", "flow_depth")
"""Of failures that no attempt follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt that has ended."""

    state: str
    reason: str
    exit_code: int | None

    @property
    def is_cut_short(self) -> bool:
        """Whether the end of a daemon ended it: `max_attempts` does not count it."""
        return self.reason == "interrupted"


def seconds(duration: str) -> float:
    """Returns what a duration of one number and one unit means."""
    digits = duration.rstrip("ms")
    return float(digits) * _UNITS[duration[len(digits) :]]


def judge_tries(node: Mapping[str, Json], tries: Sequence[Try], *, is_cut: bool) -> Iterator[str]:
    """Yields what is wrong with the attempts of a node that is final and has run.

    Args:
        node: Its text.
        tries: All of them.
        is_cut: Whether its execution was asked to end, which lets no attempt follow.
    """
    if not tries:
        yield "has run without an attempt"
        return
    reruns = _reruns(node)
    for number, each in enumerate(tries[:-1], start=1):
        if each.is_cut_short and not reruns:
            yield f"was repeated after attempt {number}, which was interrupted"
        if each.is_cut_short and reruns and node.get("type") in _GOES_ON:
            yield f"was repeated after attempt {number}, which goes on in the next life"
        if not each.is_cut_short and not _wants_more(node, tries[:number]):
            yield f"was tried again after attempt {number}: {each.state} ({each.reason})"
    last = tries[-1]
    if last.is_cut_short:
        if reruns and not is_cut:
            yield "was given up after an interruption, and says rerun"
    elif not is_cut and _wants_more(node, tries):
        yield f"was given up after attempt {len(tries)}: {last.state} ({last.reason})"


def least_delay_s(node: Mapping[str, Json], tries: Sequence[Try]) -> float:
    """Returns the seconds that must pass between the last attempt and the next."""
    retry, counted = node.get("retry", {}), _counted(tries)
    if not tries or tries[-1].is_cut_short or not counted:
        return 0.0
    growth = {"constant": 1.0, "linear": float(counted), "exponential": 2.0 ** (counted - 1)}
    whole = seconds(retry.get("delay", "1s")) * growth[retry.get("backoff", "constant")]
    return min(whole, seconds(retry.get("max_delay", "5m"))) * (1 - float(retry.get("jitter", 0)))


def _wants_more(node: Mapping[str, Json], tries: Sequence[Try]) -> bool:
    """Whether another attempt must follow the last one, which was not cut short."""
    last, retry = tries[-1], node.get("retry", {})
    if last.state not in ("failed", "timed_out") or node.get("type") in _FINAL:
        return False
    if last.reason in _FINAL_REASONS:
        return False
    if _counted(tries) >= retry.get("max_attempts", 1):
        return False
    holds = {
        None: True,
        "attempt.exit_code == 1": last.exit_code == 1,
        "attempt.number < 2": len(tries) < 2,
        "attempt.reason != 'timeout'": last.reason != "timeout",
    }
    return holds[retry.get("if")]


def _counted(tries: Sequence[Try]) -> int:
    return sum(not each.is_cut_short for each in tries)


def _reruns(node: Mapping[str, Json]) -> bool:
    own = "rerun" if node.get("type") in _RERUN_BY_ITSELF else "fail"
    return bool(node.get("on_interrupt", own) == "rerun")
