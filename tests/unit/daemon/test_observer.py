"""What the daemon counts and logs of an execution, over one life or several."""

from __future__ import annotations

from dataclasses import replace

from flowrunner.daemon.observer import DaemonObserver
from flowrunner.model.execution import Execution
from flowrunner.model.states import ExecutionState
from flowrunner.telemetry.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.records import make_execution, minutes


def samples(metrics: Metrics) -> dict[str, float]:
    body, _ = metrics.render("")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (x.rpartition(" ") for x in lines)}


def slot_under_way() -> Execution:
    """An execution that a schedule has started."""
    queued = make_execution(slot_at=minutes(1))
    return replace(queued, state=ExecutionState.RUNNING, started_at=queued.created_at)


def counts(now: dict[str, float]) -> tuple[float, float, float]:
    """How many run, how many slots have started, how many waits were measured."""
    slots = sum(value for name, value in now.items() if name.startswith("flowrunner_slots_total"))
    return (
        now["flowrunner_executions_running"],
        slots,
        now["flowrunner_queue_wait_seconds_count"],
    )


def test_start_counts_its_slot() -> None:
    """A slot that starts is counted, with how long its execution waited."""
    metrics = Metrics("1.2.3")
    DaemonObserver(metrics, FakeClock()).execution_started(slot_under_way())
    assert counts(samples(metrics)) == (1, 1, 1)


def test_execution_that_goes_on_was_counted_before() -> None:
    """After a restart it runs, but neither its slot nor its wait is counted once more."""
    metrics = Metrics("1.2.3")
    DaemonObserver(metrics, FakeClock()).execution_resumed(slot_under_way())
    assert counts(samples(metrics)) == (1, 0, 0)
