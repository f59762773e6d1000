"""`make bench`: measures the rows of the budgets that exist so far, each alone.

Usage: python benchmarks/run.py [--rounds N] [--json FILE] [ROW …]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import definition_rows, due, hook_rows, throughput
from benchmarks.attempt_output import SIZE, attempt_s, file_s, lag_s
from benchmarks.commands import command_s, interpreter_s
from benchmarks.executions import blocks_s, execution_s
from benchmarks.expressions import EXPRESSION, evaluation_s, parse_s, python_s
from benchmarks.harness import Row, measure, render_json, render_table
from benchmarks.history import Deletion, Newest, history, opened
from benchmarks.restarts import Restarted, imports_s
from benchmarks.spawning import idle_lag_s, spawning_lag_s
from flowrunner.system.hardening import harden_process

FLOW = "flows/disk-space.yaml"


def row_1(rounds: int) -> Row:
    """A chain of 100 nodes."""
    return measure(
        number="1",
        work="chain of 100 nodes running true, durable",
        budget_s=0.25,
        subject=lambda: execution_s(chained=True),
        floor=blocks_s,
        floor_name="spawn + commit in turn",
        rounds=rounds,
    )


def row_2(rounds: int) -> Row:
    """100 independent nodes."""
    return measure(
        number="2",
        work="100 independent nodes running true, durable",
        budget_s=0.15,
        subject=lambda: execution_s(chained=False),
        floor=blocks_s,
        floor_name="spawn + commit in turn",
        rounds=rounds,
    )


def row_due(
    number: str,
    flows: int,
    what: str,
    budget_s: float,
    subject: Callable[[int], float],
    rounds: int,
) -> Row:
    """Flows that are due in the same second, one node each; the rows about them share bursts."""
    return measure(
        number=number,
        work=f"{flows} flows due in the same second: {what}",
        budget_s=budget_s,
        subject=lambda: subject(flows),
        floor=lambda: subject(1),
        floor_name="one flow alone",
        rounds=min(rounds, definition_rows.FEW),
    )


def row_7a(rounds: int) -> Row:
    """Executions of one noop node: 1,500 per second."""
    return measure(
        number="7a",
        work="one execution of a noop node, of 500 at once, durable",
        budget_s=1 / 1_500,
        subject=lambda: throughput.execution_s("type: noop"),
        floor=throughput.row_s,
        floor_name="one row of a batch",
        rounds=rounds,
    )


def row_7b(rounds: int) -> Row:
    """Executions of one node running `true`: 500 per second."""
    return measure(
        number="7b",
        work="one execution of a true node, of 500 at once, durable",
        budget_s=1 / 500,
        subject=lambda: throughput.execution_s("run: 'true'"),
        floor=throughput.row_s,
        floor_name="one row of a batch",
        rounds=rounds,
    )


def row_8(rounds: int) -> Row:
    """The cost of a node that starts no process."""
    return measure(
        number="8",
        work="a noop node in a chain of 1,000, journal included",
        budget_s=80e-6,
        subject=throughput.node_s,
        floor=throughput.row_s,
        floor_name="one row of a batch",
        rounds=rounds,
    )


def row_13a(rounds: int) -> Row:
    """`flowrunner version`."""
    return measure(
        number="13a",
        work="flowrunner version",
        budget_s=0.06,
        subject=lambda: command_s("version"),
        floor=interpreter_s,
        floor_name="python -c pass",
        rounds=rounds,
    )


def row_13b(rounds: int) -> Row:
    """`flowrunner validate one.yaml`."""
    return measure(
        number="13b",
        work=f"flowrunner validate {FLOW}",
        budget_s=0.2,
        subject=lambda: command_s("validate", FLOW),
        floor=interpreter_s,
        floor_name="python -c pass",
        rounds=rounds,
    )


def row_15(rounds: int) -> Row:
    """The output of a chatty node."""
    return measure(
        number="15",
        work=f"a node printing {SIZE // 10**6} MB, masked and stamped, to disk",
        budget_s=SIZE / 60e6,
        subject=attempt_s,
        floor=file_s,
        floor_name="straight into a file",
        rounds=min(rounds, definition_rows.FEW),
    )


def row_15_lag(rounds: int) -> Row:
    """How late the event loop wakes meanwhile."""
    return measure(
        number="15-lag",
        work="p99 lag of the event loop meanwhile",
        budget_s=0.05,
        subject=lag_s,
        floor=file_s,
        floor_name="straight into a file",
        rounds=min(rounds, definition_rows.FEW),
    )


def row_expressions(rounds: int) -> Row:
    """An evaluation of an expression that is parsed already."""
    return measure(
        number="expressions",
        work=f"`{EXPRESSION}` evaluated",
        budget_s=5e-6,
        subject=evaluation_s,
        floor=python_s,
        floor_name="the same in Python",
        rounds=rounds,
    )


def row_expressions_parse(rounds: int) -> Row:
    """A parse of the same expression; each text of a flow is parsed once."""
    return measure(
        number="expressions-parse",
        work=f"`{EXPRESSION}` parsed",
        budget_s=100e-6,
        subject=parse_s,
        floor=evaluation_s,
        floor_name="its evaluation",
        rounds=rounds,
    )


def row_14(rounds: int) -> Row:
    """A start after a crash, to the interrupted node running again."""
    with closing(Restarted()) as daemon:
        return measure(
            number="14",
            work="after kill -9: ready, and the interrupted node running again",
            budget_s=1.5,
            subject=daemon.again_s,
            floor=imports_s,
            floor_name="an interpreter with the same imports",
            rounds=rounds,
        )


def row_16a(rounds: int) -> Row:
    """The newest 50 executions of a flow among a million."""
    with history() as folder, opened(folder) as (storage, loop):
        newest = Newest(storage, loop)
        return measure(
            number="16a",
            work="the last 50 executions of a flow among 1,000,000",
            budget_s=0.005,
            subject=newest.page_s,
            floor=newest.one_s,
            floor_name="one execution by id",
            rounds=rounds,
        )


def row_16b(rounds: int) -> Row:
    """Retention beside load: it takes half a minute for each round, so no more than three."""
    with history() as folder, opened(folder) as (storage, loop):
        deletion = Deletion(storage, loop, folder)
        return measure(
            number="16b",
            work="latest commit beside the removal of 100,000 executions",
            budget_s=0.1,
            subject=deletion.beside_s,
            floor=deletion.alone_s,
            floor_name="latest commit of the same load alone",
            rounds=min(rounds, definition_rows.FEW),
        )


def row_spawn(rounds: int) -> Row:
    """500 programs at once."""
    return measure(
        number="spawn",
        work="event loop lag (p99) while 500 programs start at once",
        budget_s=0.01,
        subject=spawning_lag_s,
        floor=idle_lag_s,
        floor_name="an idle loop",
        rounds=rounds,
    )


BURSTS = due.Bursts()

ROWS: dict[str, Callable[[int], Row]] = {
    "1": row_1,
    "2": row_2,
    "3": partial(row_due, "3", 200, "median start", 0.15, BURSTS.median_s),
    "3-last": partial(row_due, "3-last", 200, "last start", 0.3, BURSTS.last_s),
    "4": partial(row_due, "4", 1_000, "median start", 0.7, BURSTS.median_s),
    "4-last": partial(row_due, "4-last", 1_000, "last start", 1.4, BURSTS.last_s),
    "4-loop": partial(row_due, "4-loop", 1_000, "longest turn of the loop", 0.02, BURSTS.stall_s),
    "5-median": hook_rows.row_5_median,
    "5-p99": hook_rows.row_5_p99,
    "5-most": hook_rows.row_5_most,
    "5-carried": hook_rows.row_5_carried,
    "6": hook_rows.row_6,
    "7a": row_7a,
    "7b": row_7b,
    "8": row_8,
    "expressions": row_expressions,
    "expressions-parse": row_expressions_parse,
    "load-cold": definition_rows.load_cold,
    "load-cached": definition_rows.load_cached,
    "validate-cold": definition_rows.validate_cold,
    "validate-cached": definition_rows.validate_cached,
    "9-first": definition_rows.row_9_first,
    "9-again": definition_rows.row_9_again,
    "10-edit": definition_rows.row_10_edit,
    "10-resync": definition_rows.row_10_resync,
    "10-checkout": definition_rows.row_10_checkout,
    **definition_rows.ROWS_11,
    "12-10": partial(definition_rows.row_12, 10, 60),
    "12-1000": partial(definition_rows.row_12, 1_000, 75),
    "12-10000": partial(definition_rows.row_12, 10_000, 200),
    "12-idle": definition_rows.row_12_idle,
    "13a": row_13a,
    "13b": row_13b,
    "14": row_14,
    "15": row_15,
    "15-lag": row_15_lag,
    "16a": row_16a,
    "16b": row_16b,
    "spawn": row_spawn,
}


def main() -> None:
    """Measures the rows asked for and prints them."""
    parser = argparse.ArgumentParser(description="Measure rows of the budgets.")
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="rows; default: all")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write every sample to this file")
    arguments = parser.parse_args()
    harden_process()  # daemons that run in here have what theirs sets, such as the switch interval
    rows = [ROWS[name](arguments.rounds) for name in arguments.rows or ROWS]
    print(render_table(rows))
    if arguments.json:
        arguments.json.write_text(render_json(rows) + "\n")


if __name__ == "__main__":
    main()
