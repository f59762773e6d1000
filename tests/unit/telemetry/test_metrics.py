"""The promises of the metrics: true counts, bounded labels, series that leave with their flow."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flowrunner.engine.observer import EngineObserver
from flowrunner.model.execution import Execution
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import AttemptState, ExecutionState, SlotOutcome
from flowrunner.telemetry.metrics import UNKNOWN_HOOK, Metrics
from flowrunner.telemetry.metrics_flows import FlowFacts, FlowState
from tests.fakes.records import BACKUP, NOON, make_attempt, make_execution, minutes

HALF_PAST = minutes(30)
REPORT = FlowKey("default", "report")
OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
BACKUP_LABELS = 'account="default",flow="backup"'


def make_metrics() -> Metrics:
    return Metrics("1.2.3")


def samples(metrics: Metrics) -> dict[str, float]:
    """The lines of the text format: name and labels → value."""
    body, _ = metrics.render("")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in (x.rpartition(" ") for x in lines)}


def of_backup(metrics: Metrics) -> dict[str, float]:
    return {name: value for name, value in samples(metrics).items() if BACKUP_LABELS in name}


def queued(number: int = 1, *, flow: FlowKey = BACKUP) -> Execution:
    return make_execution(number, flow=flow)


def started(execution: Execution, *, after_s: float = 0) -> Execution:
    return replace(
        execution,
        state=ExecutionState.RUNNING,
        started_at=execution.created_at + timedelta(seconds=after_s),
    )


def ended(
    execution: Execution, state: ExecutionState, *, at: datetime | None = HALF_PAST
) -> Execution:
    return replace(execution, state=state, ended_at=at)


def run_one(
    metrics: Metrics, number: int, state: ExecutionState, *, flow: FlowKey = BACKUP
) -> None:
    """Lets one execution go its whole way, to end 30 minutes after noon."""
    execution = queued(number, flow=flow)
    metrics.execution_queued(execution)
    running = started(execution, after_s=2)
    metrics.execution_started(running)
    metrics.execution_ended(ended(running, state))


def facts(
    key: FlowKey | None,
    *,
    state: FlowState = FlowState.READY,
    is_ready: bool = True,
    next_slot_at: datetime | None = None,
) -> FlowFacts:
    return FlowFacts(key=key, state=state, is_ready=is_ready, next_slot_at=next_slot_at)


def parsed(metrics: Metrics) -> list[Metric]:
    """The families of the OpenMetrics format, as its strict parser reads them."""
    text = metrics.render(OPENMETRICS)[0].decode()
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def fill(metrics: Metrics) -> None:
    """Gives every metric a sample."""
    run_one(metrics, 1, ExecutionState.SUCCEEDED)
    run_one(metrics, 2, ExecutionState.FAILED)
    metrics.attempt_ended("shell", make_attempt(queued().id, state=AttemptState.SUCCEEDED))
    metrics.slot_decided(BACKUP, SlotOutcome.STARTED, "", lag_s=0.02)
    metrics.slot_decided(BACKUP, SlotOutcome.MISSED, "down", 3)
    metrics.webhook_answered("default/deploy/push", "accepted", 0.004)
    metrics.pass_ended("start", "applied", 0.2, ok=True, at=NOON)
    metrics.event_loop_lag(0.002)
    metrics.journal_commit(0.001)
    metrics.show_flows(lambda: [facts(BACKUP, next_slot_at=minutes(60))])
    metrics.show_source(lambda: "4b825dc")
    metrics.show_watcher(lambda: True)
    metrics.show_overflows(lambda: 2)
    metrics.show_free_bytes(lambda: 4096)


def test_the_metrics_are_an_observer_of_the_engine() -> None:
    """The engine can be given the metrics as they are; mypy holds this line."""
    observer: EngineObserver = make_metrics()
    observer.execution_queued(queued())


def test_the_catalogue_is_what_the_design_lists() -> None:
    """Each metric has its name, its type and its labels, because rules and dashboards use them."""
    metrics = make_metrics()
    fill(metrics)
    found = {
        family.name: (family.type, sorted({name for s in family.samples for name in s.labels}))
        for family in parsed(metrics)
        if family.name.startswith("flowrunner_")
    }
    flow = ["account", "flow"]
    assert found == {
        "flowrunner_build": ("info", ["version"]),
        "flowrunner_source": ("info", ["revision"]),
        "flowrunner_flows": ("gauge", ["state"]),
        "flowrunner_flow_ready": ("gauge", flow),
        "flowrunner_flow_suspended": ("gauge", flow),
        "flowrunner_flow_next_slot_timestamp_seconds": ("gauge", flow),
        "flowrunner_flow_last_execution_timestamp_seconds": ("gauge", flow),
        "flowrunner_flow_last_success_timestamp_seconds": ("gauge", flow),
        "flowrunner_flow_consecutive_failures": ("gauge", flow),
        "flowrunner_executions": ("counter", [*flow, "state"]),
        "flowrunner_execution_duration_seconds": ("histogram", ["le"]),
        "flowrunner_executions_running": ("gauge", []),
        "flowrunner_executions_queued": ("gauge", []),
        "flowrunner_queue_wait_seconds": ("histogram", ["le"]),
        "flowrunner_node_attempts": ("counter", ["result", "type"]),
        "flowrunner_slots": ("counter", [*flow, "outcome", "reason"]),
        "flowrunner_slot_lag_seconds": ("histogram", ["le"]),
        "flowrunner_webhook_requests": ("counter", ["hook", "result"]),
        "flowrunner_webhook_request_duration_seconds": ("histogram", ["le"]),
        "flowrunner_reconcile": ("counter", ["result", "trigger"]),
        "flowrunner_reconcile_duration_seconds": ("histogram", ["le"]),
        "flowrunner_config_last_reload_successful": ("gauge", []),
        "flowrunner_config_last_reload_success_timestamp_seconds": ("gauge", []),
        "flowrunner_watcher_up": ("gauge", []),
        "flowrunner_watch_overflows": ("counter", []),
        "flowrunner_event_loop_lag_seconds": ("histogram", ["le"]),
        "flowrunner_journal_commit_seconds": ("histogram", ["le"]),
        "flowrunner_state_disk_free_bytes": ("gauge", []),
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("is_filled", [True, False], ids=["used", "fresh"])
def test_promtool_has_nothing_to_say(is_filled: bool) -> None:  # noqa: FBT001 - a case
    """Prometheus' own linter accepts the exposition without a word."""
    metrics = make_metrics()
    if is_filled:
        fill(metrics)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=metrics.render("")[0],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_process_and_the_interpreter_are_shown() -> None:
    """The standard series about the process are there, as dashboards expect."""
    names = {name.partition("{")[0] for name in samples(make_metrics())}
    assert {"process_resident_memory_bytes", "process_open_fds", "python_info"} <= names


def test_two_daemons_in_one_process_count_apart() -> None:
    """Each `Metrics` has a registry of its own."""
    first, second = make_metrics(), make_metrics()
    run_one(first, 1, ExecutionState.FAILED)
    assert of_backup(first)
    assert not of_backup(second)


class TestExecutions:
    """Counts and gauges over the ways an execution can go."""

    @pytest.mark.parametrize(
        "state", [s for s in ExecutionState if s.is_final], ids=lambda s: s.value
    )
    def test_an_ended_execution_is_counted_once_by_its_state(self, state: ExecutionState) -> None:
        """One execution raises one counter by one; the other states stand at 0."""
        metrics = make_metrics()
        run_one(metrics, 1, state)
        counts = {k: v for k, v in of_backup(metrics).items() if "executions_total" in k}
        assert len(counts) == 4
        assert {k for k, v in counts.items() if v} == {
            f'flowrunner_executions_total{{{BACKUP_LABELS},state="{state.value}"}}'
        }

    @pytest.mark.parametrize(
        ("way", "expected"),
        [
            ("queued", [(1, 0)]),
            ("queued started", [(1, 0), (0, 1)]),
            ("queued started ended", [(1, 0), (0, 1), (0, 0)]),
            ("queued ended", [(1, 0), (0, 0)]),
            ("started ended", [(0, 1), (0, 0)]),
            ("ended", [(0, 0)]),
            ("started queued ended", [(0, 1), (0, 1), (0, 0)]),
        ],
        ids=[
            "waiting",
            "under_way",
            "whole_way",
            "cancelled_in_the_queue",
            "never_waited",
            "cut_short_before_a_restart",
            "told_in_the_wrong_order",
        ],
    )
    def test_the_gauges_follow_an_execution(
        self, way: str, expected: list[tuple[int, int]]
    ) -> None:
        """Queued and running say how many there are, whichever way an execution goes."""
        metrics = make_metrics()
        waiting = queued()
        running = started(waiting)
        tell = {
            "queued": lambda: metrics.execution_queued(waiting),
            "started": lambda: metrics.execution_started(running),
            "ended": lambda: metrics.execution_ended(ended(running, ExecutionState.CANCELLED)),
        }
        seen = []
        for word in way.split():
            tell[word]()
            now = samples(metrics)
            seen.append((now["flowrunner_executions_queued"], now["flowrunner_executions_running"]))
        assert seen == expected

    def test_the_wait_is_measured_from_the_acceptance(self) -> None:
        """An execution that waited 2 s adds 2 s to the queue wait."""
        metrics = make_metrics()
        run_one(metrics, 1, ExecutionState.SUCCEEDED)
        metrics.execution_started(started(queued(2)))
        now = samples(metrics)
        assert now["flowrunner_queue_wait_seconds_sum"] == 2
        assert now["flowrunner_queue_wait_seconds_count"] == 2

    def test_the_duration_has_no_negative_values(self) -> None:
        """A wall clock that was set back makes a duration of 0, never a falling sum."""
        metrics = make_metrics()
        running = started(queued())
        metrics.execution_ended(ended(running, ExecutionState.SUCCEEDED, at=NOON))
        now = samples(metrics)
        assert now["flowrunner_execution_duration_seconds_sum"] == 0
        assert now["flowrunner_execution_duration_seconds_count"] == 1

    @pytest.mark.parametrize(
        "execution",
        [
            ended(queued(), ExecutionState.CANCELLED),
            ended(started(queued()), ExecutionState.FAILED, at=None),
        ],
        ids=["never_started", "end_unknown"],
    )
    def test_without_both_moments_there_is_no_duration(self, execution: Execution) -> None:
        """What never started, or ended at an unknown time, is counted without a duration."""
        metrics = make_metrics()
        metrics.execution_ended(execution)
        assert samples(metrics)["flowrunner_execution_duration_seconds_count"] == 0
        assert sum(v for k, v in of_backup(metrics).items() if "executions_total" in k) == 1

    def test_attempts_are_counted_by_type_and_result(self) -> None:
        """A retry that succeeds leaves one failed and one succeeded attempt."""
        metrics = make_metrics()
        for number, state in enumerate((AttemptState.FAILED, AttemptState.SUCCEEDED), start=1):
            attempt = make_attempt(queued().id, state=state, number=number)
            metrics.attempt_ended("shell", attempt)
        now = samples(metrics)
        assert now['flowrunner_node_attempts_total{result="failed",type="shell"}'] == 1
        assert now['flowrunner_node_attempts_total{result="succeeded",type="shell"}'] == 1


class TestFlows:
    """What is shown of each flow, and when it leaves."""

    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            ("failed timed_out", 2),
            ("failed succeeded", 0),
            ("failed cancelled failed", 2),
            ("cancelled", 0),
        ],
        ids=["failed_and_timed_out_count", "success_ends_it", "cancelled_is_neutral", "no_failure"],
    )
    def test_consecutive_failures(self, states: str, expected: int) -> None:
        """Failed and timed-out executions count until a success, cancelled ones never."""
        metrics = make_metrics()
        for number, state in enumerate(states.split(), start=1):
            run_one(metrics, number, ExecutionState(state))
        name = f"flowrunner_flow_consecutive_failures{{{BACKUP_LABELS}}}"
        assert of_backup(metrics)[name] == expected

    def test_the_last_end_and_the_last_success_are_moments(self) -> None:
        """A failure moves the last end, a success both."""
        metrics = make_metrics()
        execution = started(queued())
        metrics.execution_ended(ended(execution, ExecutionState.SUCCEEDED, at=minutes(5)))
        metrics.execution_ended(ended(execution, ExecutionState.FAILED, at=minutes(9)))
        now = of_backup(metrics)
        last = f"flowrunner_flow_last_execution_timestamp_seconds{{{BACKUP_LABELS}}}"
        success = f"flowrunner_flow_last_success_timestamp_seconds{{{BACKUP_LABELS}}}"
        assert now[last] == minutes(9).timestamp()
        assert now[success] == minutes(5).timestamp()

    def test_the_gauges_of_a_flow_survive_a_restart(self) -> None:
        """What the store knows is shown at once, and goes on from there."""
        metrics = make_metrics()
        metrics.restore_flow(BACKUP, minutes(3), minutes(1), 2)
        run_one(metrics, 1, ExecutionState.FAILED)
        now = of_backup(metrics)
        success = f"flowrunner_flow_last_success_timestamp_seconds{{{BACKUP_LABELS}}}"
        assert now[success] == minutes(1).timestamp()
        assert now[f"flowrunner_flow_consecutive_failures{{{BACKUP_LABELS}}}"] == 3

    def test_moments_that_never_were_are_absent(self) -> None:
        """A flow that never ran and has no schedule has no time stamps, rather than 1970."""
        metrics = make_metrics()
        metrics.show_flows(lambda: [facts(BACKUP)])
        assert not [name for name in of_backup(metrics) if "timestamp" in name]

    def test_a_listed_flow_counts_from_zero(self) -> None:
        """Before its first execution a flow has its counters, so that a first failure is a rise."""
        metrics = make_metrics()
        metrics.show_flows(lambda: [facts(BACKUP)])
        name = f'flowrunner_executions_total{{{BACKUP_LABELS},state="failed"}}'
        assert of_backup(metrics)[name] == 0

    def test_flows_are_shown_as_the_registry_has_them_now(self) -> None:
        """Each scrape asks anew for readiness and the next slot."""
        metrics = make_metrics()
        listed = [facts(BACKUP, next_slot_at=minutes(60))]
        metrics.show_flows(lambda: listed)
        before = of_backup(metrics)
        listed = [facts(BACKUP, is_ready=False, state=FlowState.INVALID)]
        after = of_backup(metrics)
        ready = f"flowrunner_flow_ready{{{BACKUP_LABELS}}}"
        slot = f"flowrunner_flow_next_slot_timestamp_seconds{{{BACKUP_LABELS}}}"
        assert (before[ready], before[slot]) == (1, minutes(60).timestamp())
        assert (after[ready], after.get(slot)) == (0, None)

    def test_flows_are_counted_by_state(self) -> None:
        """All three states are there, files that are no flow in force included."""
        metrics = make_metrics()
        listed: Iterable[FlowFacts] = (
            facts(BACKUP),
            facts(REPORT, state=FlowState.INVALID),
            facts(None, state=FlowState.INVALID, is_ready=False),
        )
        metrics.show_flows(lambda: listed)
        now = samples(metrics)
        counts = {state.value: now[f'flowrunner_flows{{state="{state}"}}'] for state in FlowState}
        assert counts == {"ready": 1, "invalid": 2, "not_ready": 0}

    def test_a_flow_listed_twice_has_one_series(self) -> None:
        """A sample is never given twice, for which Prometheus would refuse the whole scrape."""
        metrics = make_metrics()
        metrics.show_flows(lambda: [facts(BACKUP), facts(BACKUP)])
        lines = metrics.render("")[0].decode().splitlines()
        assert len(lines) == len(set(lines))

    def test_all_series_of_a_forgotten_flow_leave(self) -> None:
        """Nothing about the flow is left; another flow keeps its own."""
        metrics = make_metrics()
        run_one(metrics, 1, ExecutionState.FAILED)
        metrics.slot_decided(BACKUP, SlotOutcome.SKIPPED, "concurrency")
        run_one(metrics, 2, ExecutionState.SUCCEEDED, flow=REPORT)
        metrics.forget_flow(BACKUP)
        now = samples(metrics)
        assert not of_backup(metrics)
        assert now['flowrunner_executions_total{account="default",flow="report",state="succeeded"}']

    def test_what_a_forgotten_flow_still_runs_brings_no_series_back(self) -> None:
        """An execution that outlives its flow ends without a trace by flow, and leaves no gauge."""
        metrics = make_metrics()
        running = started(queued())
        metrics.execution_started(running)
        metrics.forget_flow(BACKUP)
        metrics.execution_ended(ended(running, ExecutionState.FAILED))
        assert not of_backup(metrics)
        assert samples(metrics)["flowrunner_executions_running"] == 0

    def test_a_flow_that_came_back_is_not_charged_for_the_one_that_left(self) -> None:
        """The old execution is not counted for the new flow, the new flow's own are."""
        metrics = make_metrics()
        old, new = started(queued(1)), started(queued(2))
        metrics.execution_started(old)
        metrics.forget_flow(BACKUP)
        metrics.execution_started(new)
        metrics.execution_ended(ended(new, ExecutionState.FAILED))
        metrics.execution_ended(ended(old, ExecutionState.FAILED))
        name = f'flowrunner_executions_total{{{BACKUP_LABELS},state="failed"}}'
        assert of_backup(metrics)[name] == 1

    def test_only_listed_flows_are_shown(self) -> None:
        """A late word about a flow that is no longer listed makes no series."""
        metrics = make_metrics()
        metrics.show_flows(lambda: [facts(REPORT)])
        metrics.slot_decided(BACKUP, SlotOutcome.SKIPPED, "deleted")
        assert not of_backup(metrics)


class TestEntrances:
    """Slots, hooks and passes."""

    def test_slots_are_counted_by_outcome_and_reason(self) -> None:
        """Many slots with one decision count as many; only a start has a lag."""
        metrics = make_metrics()
        metrics.slot_decided(BACKUP, SlotOutcome.MISSED, "down", 40)
        metrics.slot_decided(BACKUP, SlotOutcome.MISSED, "down", 2)
        metrics.slot_decided(BACKUP, SlotOutcome.STARTED, "", lag_s=0.25)
        now = samples(metrics)
        slots = f"flowrunner_slots_total{{{BACKUP_LABELS},outcome="
        assert now[f'{slots}"missed",reason="down"}}'] == 42
        assert now[f'{slots}"started",reason=""}}'] == 1
        assert now["flowrunner_slot_lag_seconds_sum"] == 0.25
        assert now["flowrunner_slot_lag_seconds_count"] == 1

    def test_hooks_are_counted_until_they_are_gone(self) -> None:
        """A hook that is gone takes its series along; strangers' paths share one."""
        metrics = make_metrics()
        hook = "default/deploy/push"
        metrics.webhook_answered(hook, "accepted", 0.01)
        metrics.webhook_answered(hook, "bad_signature", 0.01)
        metrics.webhook_answered(UNKNOWN_HOOK, "unknown_hook", 0.01)
        assert len([name for name in samples(metrics) if hook in name]) == 2
        metrics.forget_hook(hook)
        metrics.forget_hook("default/never/called")
        now = samples(metrics)
        assert not [name for name in now if hook in name]
        unknown = 'flowrunner_webhook_requests_total{hook="_unknown",result="unknown_hook"}'
        assert now[unknown] == 1

    def test_a_failed_pass_keeps_the_time_of_the_last_good_one(self) -> None:
        """The success flag falls, its time stamp stays frozen, both passes are counted."""
        metrics = make_metrics()
        metrics.pass_ended("start", "applied", 0.5, ok=True, at=minutes(1))
        metrics.pass_ended("watch", "applied", 0.25, ok=False, at=minutes(2))
        now = samples(metrics)
        prefix = "flowrunner_config_last_reload_success"
        assert now[f"{prefix}ful"] == 0
        assert now[f"{prefix}_timestamp_seconds"] == minutes(1).timestamp()
        assert now['flowrunner_reconcile_total{result="applied",trigger="watch"}'] == 1
        assert now["flowrunner_reconcile_duration_seconds_sum"] == 0.75

    def test_only_the_revision_in_force_is_shown(self) -> None:
        """An old revision leaves with its successor; an unknown one has no series."""
        metrics = make_metrics()
        revision = "one"
        metrics.show_source(lambda: revision)
        assert samples(metrics)['flowrunner_source_info{revision="one"}'] == 1
        revision = "two"
        assert [n for n in samples(metrics) if "source" in n] == [
            'flowrunner_source_info{revision="two"}'
        ]
        revision = ""
        assert not [n for n in samples(metrics) if "source" in n]

    def test_a_disk_that_cannot_be_asked_hides_only_its_own_metric(self) -> None:
        """The scrape goes on without the free bytes."""

        def lost() -> int:
            raise OSError(5, "Input/output error")

        metrics = make_metrics()
        metrics.show_free_bytes(lost)
        now = samples(metrics)
        assert "flowrunner_state_disk_free_bytes" not in now
        assert "flowrunner_executions_running" in now


class TestRendering:
    """What a scraper gets."""

    @pytest.mark.parametrize(
        ("accept", "is_openmetrics"),
        [
            ("", False),
            ("*/*", False),
            ("text/html", False),
            (OPENMETRICS, True),
            ("application/openmetrics-text", True),
            ("application/openmetrics-text; version=0.0.1", False),
            ("application/openmetrics-text; version=abc", False),
            ("application/openmetrics-text; version=7.5\xa0", False),
            ("text/plain; version=x;;,;", False),
        ],
        ids=[
            "nothing",
            "anything",
            "browser",
            "prometheus",
            "no_version",
            "old_version",
            "no_number",
            "unknown_version",
            "garbage",
        ],
    )
    def test_the_format_is_chosen_by_the_scraper(self, accept: str, is_openmetrics: bool) -> None:  # noqa: FBT001 - a case
        """OpenMetrics 1.0 for those who ask for it, text for all others, whatever they sent."""
        body, content_type = make_metrics().render(accept)
        kind = "application/openmetrics-text; version=1.0.0" if is_openmetrics else "text/plain"
        assert content_type.startswith(kind)
        assert body.endswith(b"# EOF\n") is is_openmetrics

    def test_the_duration_names_an_execution_as_exemplar(self) -> None:
        """From a bucket a person finds an execution that fell into it, in OpenMetrics only."""
        metrics = make_metrics()
        run_one(metrics, 1, ExecutionState.SUCCEEDED)
        exemplars = [
            sample.exemplar.labels
            for family in parsed(metrics)
            for sample in family.samples
            if sample.exemplar is not None
        ]
        assert exemplars == [{"execution": queued().id}]
        assert queued().id.encode() not in metrics.render("")[0]

    @pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "openmetrics"])
    def test_there_are_no_created_series(self, accept: str) -> None:
        """The output is not doubled by time stamps of creation."""
        metrics = make_metrics()
        fill(metrics)
        assert b"_created" not in metrics.render(accept)[0]

    @pytest.mark.heavy
    def test_a_scrape_beside_the_event_loop_loses_nothing(self) -> None:
        """Threads may render while events come in: no error, and every event is counted."""
        metrics = make_metrics()
        flows = [FlowKey("default", f"flow-{number}") for number in range(50)]
        metrics.show_flows(lambda: tuple(facts(key) for key in flows))
        with ThreadPoolExecutor(2) as pool:
            scrapes = [pool.submit(metrics.render, accept) for accept in ("", OPENMETRICS) * 10]
            for number in range(1_000):
                run_one(metrics, number, ExecutionState.FAILED, flow=flows[number % 50])
                metrics.slot_decided(flows[number % 50], SlotOutcome.MISSED, f"reason-{number}")
        assert all(scrape.result()[0] for scrape in scrapes)
        counts = {k: v for k, v in samples(metrics).items() if "executions_total" in k}
        assert sum(counts.values()) == 1_000
