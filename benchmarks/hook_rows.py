"""The rows about deliveries: accepted at a steady rate, as fast as can be, and begun."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from benchmarks.harness import Row, measure
from benchmarks.hooks import Floor, Hooked, spawn_s

_FLOOR = "HTTP, HMAC and commit alone"


def row_5_median(rounds: int) -> Row:
    """The median at 200 a second."""
    return _row_5("5-median", "median at 200/s", 0.003, rounds, Hooked.median_s, Floor.median_s)


def row_5_p99(rounds: int) -> Row:
    """The slow ones at 200 a second."""
    return _row_5("5-p99", "p99 at 200/s", 0.015, rounds, Hooked.p99_s, Floor.p99_s)


def row_5_most(rounds: int) -> Row:
    """As many as are accepted: 3,000 a second."""
    what = "each, as fast as 32 connections take them"
    return _row_5("5-most", what, 1 / 3_000, rounds, Hooked.burst_s, Floor.burst_s)


def row_5_carried(rounds: int) -> Row:
    """The same while each is executed: 1,500 a second, as row 7 asks for."""
    what = "each, as fast as they are taken while they are executed"
    return _row_5("5-carried", what, 1 / 1_500, rounds, Hooked.carried_s, Floor.burst_s)


def row_6(rounds: int) -> Row:
    """From the POST to the process of the node."""
    with closing(Hooked()) as daemon:
        return measure(
            number="6",
            work="a delivery to an idle daemon, until the node's process runs",
            budget_s=0.01,
            subject=daemon.until_process_s,
            floor=spawn_s,
            floor_name="spawn a shell",
            rounds=rounds * _MORE,
        )


_MORE = 5
"""Rounds of row 6 for one of the others: each is over in milliseconds."""


def _row_5(
    number: str,
    what: str,
    budget_s: float,
    rounds: int,
    subject: Callable[[Hooked], float],
    floor: Callable[[Floor], float],
) -> Row:
    with closing(Hooked()) as daemon, closing(Floor()) as blocks:
        return measure(
            number=number,
            work=f"signed webhook of 1 KB, accepted durably: {what}",
            budget_s=budget_s,
            subject=lambda: subject(daemon),
            floor=lambda: floor(blocks),
            floor_name=_FLOOR,
            rounds=rounds,
        )
