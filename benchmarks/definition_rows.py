"""The rows about many definitions: read for the first time or again, edited, asked for, kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TypeAlias

from benchmarks.edits import many_flows
from benchmarks.harness import Row, measure
from benchmarks.reading import METRICS, PAGE, SMALL, Asked
from benchmarks.restarts import ManyFlows, imports_mib, imports_s
from benchmarks.validation import FlowFolder

RowOf: TypeAlias = Callable[[int], Row]

FEW = 3
"""Rounds of a row that takes more than ten seconds."""


def row_10_edit(rounds: int) -> Row:
    """An edit, until it is in force."""
    with many_flows(10_000) as daemon:
        return measure(
            number="10-edit",
            work="one file of 10,000 edited, until in force, without the debounce",
            budget_s=0.05,
            subject=daemon.edit_s,
            floor=daemon.compile_s,
            floor_name="compile it",
            rounds=rounds,
        )


def row_10_resync(rounds: int) -> Row:
    """A resync of a plain folder."""
    return _resync("10-resync", rounds, is_checkout=False)


def row_10_checkout(rounds: int) -> Row:
    """A resync of a clean checkout, git's own work included."""
    return _resync("10-checkout", rounds, is_checkout=True)


def _resync(number: str, rounds: int, *, is_checkout: bool) -> Row:
    kind = "checkout" if is_checkout else "folder"
    with many_flows(10_000, is_checkout=is_checkout) as daemon:
        return measure(
            number=number,
            work=f"processor time of a resync with no change, {kind} of 10,000 flows",
            budget_s=0.1,
            subject=daemon.resync_cpu_s,
            floor=daemon.walk_cpu_s,
            floor_name="look at every name",
            rounds=rounds,
        )


def validate_cold(rounds: int) -> Row:
    """`flowrunner validate` on 1,000 flows."""
    return _validation("validate-cold", 1_000, 1.5, rounds, is_cached=False)


def validate_cached(rounds: int) -> Row:
    """The same when nothing changed since the last time."""
    return _validation("validate-cached", 1_000, 0.4, rounds, is_cached=True)


def load_cold(rounds: int) -> Row:
    """What row 9 spends on files at a first start."""
    return _validation("load-cold", 10_000, 4.0, min(rounds, FEW), is_cached=False)


def load_cached(rounds: int) -> Row:
    """What row 9 would spend on files at a restart with this cache."""
    return _validation("load-cached", 10_000, 1.0, min(rounds, FEW), is_cached=True)


def _validation(number: str, count: int, budget_s: float, rounds: int, *, is_cached: bool) -> Row:
    folder = FlowFolder(count)
    return measure(
        number=number,
        work=f"flowrunner validate, {count:,} flows, {'all known' if is_cached else 'no cache'}",
        budget_s=budget_s,
        subject=folder.cached_s if is_cached else folder.cold_s,
        floor=folder.hash_s if is_cached else folder.parse_s,
        floor_name="read all" if is_cached else "read and parse all",
        rounds=rounds,
    )


def row_9_first(rounds: int) -> Row:
    """A first start with 10,000 flows."""
    with closing(ManyFlows(10_000)) as flows:
        return measure(
            number="9-first",
            work="ready with 10,000 flows, first start",
            budget_s=4.0,
            subject=flows.first_s,
            floor=imports_s,
            floor_name="an interpreter with the same imports",
            rounds=min(rounds, FEW),
        )


def row_9_again(rounds: int) -> Row:
    """A start with 10,000 flows of which nothing changed."""
    with closing(ManyFlows(10_000)) as flows:
        flows.first_s()
        return measure(
            number="9-again",
            work="ready with 10,000 flows, restart with nothing changed",
            budget_s=1.0,
            subject=flows.again_s,
            floor=imports_s,
            floor_name="an interpreter with the same imports",
            rounds=min(rounds, FEW),
        )


def row_11(number: str, work: str, budget_s: float, subject: Callable[[Asked], float]) -> RowOf:
    """Returns a row about what a daemon with 10,000 flows is asked."""

    def row(rounds: int) -> Row:
        with closing(ManyFlows(10_000)) as many, closing(Asked(many.waiting())) as asked:
            return measure(
                number=number,
                work=f"{work} with 10,000 flows",
                budget_s=budget_s,
                subject=lambda: subject(asked),
                floor=lambda: asked.seconds(SMALL),
                floor_name="a small answer",
                rounds=rounds,
            )

    return row


ROWS_11 = {
    "11a": row_11("11a", "a page of 100 by the API", 0.005, lambda asked: asked.seconds(PAGE)),
    "11b": row_11("11b", "the metrics", 0.1, lambda asked: asked.seconds(METRICS)),
    "11-loop": row_11("11-loop", "a small answer beside the metrics", 0.02, Asked.held_s),
}


def row_12(flows: int, budget_mib: float, rounds: int) -> Row:
    """The memory of a daemon that was restarted and waits."""
    with closing(ManyFlows(flows)) as many:
        many.first_s()
        return measure(
            number=f"12-{flows}",
            work=f"resident memory idle with {flows:,} flows, after a restart",
            budget_s=budget_mib,
            subject=many.idle_mib,
            floor=imports_mib,
            floor_name="an interpreter with the same imports",
            rounds=min(rounds, FEW),
            unit="MiB",
        )


def row_12_idle(rounds: int) -> Row:
    """The processor time of a daemon that waits: none of its flows is due meanwhile."""
    with (
        closing(ManyFlows(10_000, are_due=False)) as many,
        closing(ManyFlows(0)) as none,
        closing(many.waiting()) as daemon,
        closing(none.waiting()) as empty,
    ):
        return measure(
            number="12-idle",
            work="share of one processor, idle with 10,000 flows",
            budget_s=0.5,
            subject=daemon.idle_percent,
            floor=empty.idle_percent,
            floor_name="a daemon without flows",
            rounds=min(rounds, FEW),
            unit="%",
        )
