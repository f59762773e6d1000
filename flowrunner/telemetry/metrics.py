"""The metric catalogue, and the only door to prometheus_client.

Names and labels are a public surface. Label values are validated names or words of closed sets,
never ids, paths of files, texts or anything else that a stranger could multiply. What is counted
by flow lives in `flowrunner.telemetry.metrics_flows` and becomes samples when a scrape asks, in
`flowrunner.telemetry.metrics_samples`: ten thousand flows cost the memory of their numbers and
leave without a trace. Serving the result over HTTP is left to the web layer.

Source: Prometheus, "Metric and label naming"; OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from flowrunner.model.execution import Attempt, Execution
from flowrunner.model.ids import FlowKey
from flowrunner.model.states import SlotOutcome
from flowrunner.telemetry.exposition import OPENMETRICS, SUFFIXES, exposition, wants_openmetrics
from flowrunner.telemetry.metrics_flows import FlowFacts, FlowLedger, FlowTotals
from flowrunner.telemetry.metrics_samples import (
    Family,
    fact_families,
    free_bytes_family,
    overflows_family,
    source_family,
    store_family,
    total_families,
    watcher_family,
)

UNKNOWN_HOOK = "_unknown"
"""The label of every request for a path that is no hook: paths of strangers are not labels."""

_END = b"# EOF\n"

_KINDS: Mapping[str, Callable[[str, str], Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "info": InfoMetricFamily,
}

# Upper bounds of the histograms, in seconds.
_EXECUTION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
_WAIT_BUCKETS = (0.05, 0.1, 0.5, 1, 5, 30, 300, 3600)
_LAG_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300)
_PASS_BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30)
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
_LOOP_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class Metrics:
    """Everything the daemon counts, in a registry of its own; meets the engine's observer.

    What it is told takes microseconds, may come from any thread, and does not fail.

    Args:
        version: FlowRunner's own, as `flowrunner_build_info` shows it.
    """

    def __init__(self, version: str) -> None:
        # A switch of the whole library, thrown here and nowhere else: `_created` series would
        # double the output, and nothing of ours reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        build = Info("flowrunner_build", "The running FlowRunner.", registry=registry)
        build.info({"version": version})
        self._flows = FlowLedger()
        self._flow_families = _FlowFamilies(self._flows)
        self._state_collector = _StateCollector()
        registry.register(self._state_collector)
        self._make_execution_metrics(registry)
        self._make_entrance_metrics(registry)
        self._make_inner_metrics(registry)

    def _make_execution_metrics(self, registry: CollectorRegistry) -> None:
        running = Gauge("flowrunner_executions_running", "Executions under way.", registry=registry)
        running.set_function(lambda: self._flows.running_count)
        queued = Gauge("flowrunner_executions_queued", "Executions that wait.", registry=registry)
        queued.set_function(lambda: self._flows.queued_count)
        self._execution_duration = Histogram(
            "flowrunner_execution_duration_seconds",
            "From the start of an execution to its end.",
            buckets=_EXECUTION_BUCKETS,
            registry=registry,
        )
        self._queue_wait = Histogram(
            "flowrunner_queue_wait_seconds",
            "From the acceptance of an execution to its start.",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        attempts = Counter(
            "flowrunner_node_attempts",
            "Attempts that ended, by type of node.",
            ("type", "result"),
            registry=registry,
        )
        self._attempts = cache(attempts.labels)  # both are words of closed sets

    def _make_entrance_metrics(self, registry: CollectorRegistry) -> None:
        self._slot_lag = Histogram(
            "flowrunner_slot_lag_seconds",
            "From a slot to the start it got.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self._webhook_requests = Counter(
            "flowrunner_webhook_requests",
            "Requests to hooks, by what became of them.",
            ("hook", "result"),
            registry=registry,
        )
        self._hook_results: dict[str, dict[str, Counter]] = {}
        self._webhook_duration = Histogram(
            "flowrunner_webhook_request_duration_seconds",
            "From a request to a hook to its answer.",
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )

    def _make_inner_metrics(self, registry: CollectorRegistry) -> None:
        self._passes = Counter(
            "flowrunner_reconcile",
            "Passes over the flows folder, by what caused them and how they ended.",
            ("trigger", "result"),
            registry=registry,
        )
        self._pass_duration = Histogram(
            "flowrunner_reconcile_duration_seconds",
            "Duration of a pass.",
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._reload_ok = Gauge(
            "flowrunner_config_last_reload_successful",
            "Whether the last pass found nothing wrong.",
            registry=registry,
        )
        self._reload_ok_at = Gauge(
            "flowrunner_config_last_reload_success_timestamp_seconds",
            "When a pass last found nothing wrong.",
            registry=registry,
        )
        self._loop_lag = Histogram(
            "flowrunner_event_loop_lag_seconds",
            "How late the event loop wakes a sleeper.",
            buckets=_LOOP_BUCKETS,
            registry=registry,
        )
        self._commit = Histogram(
            "flowrunner_journal_commit_seconds",
            "Duration of a commit to the journal, sync included.",
            buckets=_COMMIT_BUCKETS,
            registry=registry,
        )

    def execution_queued(self, execution: Execution) -> None:
        """An execution was accepted and waits; told before its start and its end."""
        self._flows.queued(execution)

    def execution_started(self, execution: Execution) -> None:
        """An execution left the queue, or never had to wait, which counts as a wait of 0."""
        self._flows.started(execution)
        if execution.started_at is not None:
            self._queue_wait.observe(_seconds(execution.created_at, execution.started_at))

    def execution_resumed(self, execution: Execution) -> None:
        """An execution runs on after a restart: how long it waited was observed before."""
        self._flows.started(execution)

    def execution_ended(self, execution: Execution) -> None:
        """An execution reached a final state; without a start it has no duration."""
        self._flows.ended(execution)
        if execution.started_at is not None and execution.ended_at is not None:
            self._execution_duration.observe(
                _seconds(execution.started_at, execution.ended_at), {"execution": execution.id}
            )

    def attempt_ended(self, node_type: str, attempt: Attempt) -> None:
        """An attempt ended; `node_type` is a registered type."""
        self._attempts(node_type, attempt.state.value).inc()

    def slot_decided(
        self,
        flow: FlowKey,
        outcome: SlotOutcome,
        reason: str,
        count: int = 1,
        lag_s: float | None = None,
    ) -> None:
        """Counts `count` slots of one outcome; `reason` is a word of `Reason`, or empty.

        `lag_s` is how late the one slot was started; None when it was not.
        """
        self._flows.slot_decided(flow, outcome, reason, count)
        if lag_s is not None:
            self._slot_lag.observe(max(lag_s, 0.0))

    def webhook_answered(self, hook: str, result: str, duration_s: float) -> None:
        """Counts a request to a hook.

        Args:
            hook: `account/path` of a hook that exists, else `UNKNOWN_HOOK`.
            result: A word of a closed set.
            duration_s: From the request's head to the answer.
        """
        results = self._hook_results.setdefault(hook, {})
        counter = results.get(result)
        if counter is None:
            counter = results[result] = self._webhook_requests.labels(hook, result)
        counter.inc()
        self._webhook_duration.observe(max(duration_s, 0.0))

    def pass_ended(
        self, trigger: str, result: str, duration_s: float, *, ok: bool, at: datetime
    ) -> None:
        """Counts a pass over the flows folder that ended `at`.

        `trigger` (what caused it) and `result` are words of closed sets; `ok` says whether all
        that it read is in force.
        """
        self._passes.labels(trigger, result).inc()
        self._pass_duration.observe(max(duration_s, 0.0))
        self._reload_ok.set(1 if ok else 0)
        if ok:
            self._reload_ok_at.set(at.timestamp())

    def event_loop_lag(self, seconds: float) -> None:
        """Notes how late the event loop woke a sleeper."""
        self._loop_lag.observe(max(seconds, 0.0))

    def journal_commit(self, seconds: float) -> None:
        """Notes how long a commit took."""
        self._commit.observe(max(seconds, 0.0))

    def show_flows(self, flows: Callable[[], Iterable[FlowFacts]]) -> None:
        """Shows the series of exactly the flows that `flows` lists, read at each scrape.

        Before this call the flows that were counted are shown. `flows` is called in the thread
        of the scrape, so it must hand out what no other thread changes; it must not raise.
        """
        self._flow_families.facts = flows

    def show_source(self, revision: Callable[[], str]) -> None:
        """Shows the revision in force; an empty one is left out. Called as `show_flows` says."""
        self._state_collector.revision = revision

    def show_watcher(self, is_up: Callable[[], bool]) -> None:
        """Shows whether changes of files are heard of. Called as `show_flows` says."""
        self._state_collector.is_watcher_up = is_up

    def show_overflows(self, count: Callable[[], int]) -> None:
        """Shows how often events of files were lost. Called as `show_flows` says."""
        self._state_collector.overflows = count

    def show_more(self, families: Callable[[], Iterable[Family]]) -> None:
        """Shows also what `families` yields. Called as `show_flows` says."""
        self._state_collector.more.append(families)

    def show_free_bytes(self, free_bytes: Callable[[], int]) -> None:
        """Shows the free space of the state directory; left out when it raises `OSError`."""
        self._state_collector.free_bytes = free_bytes

    def show_store(self, is_healthy: Callable[[], bool]) -> None:
        """Shows whether the store keeps what is written. Called as `show_flows` says."""
        self._state_collector.is_store_healthy = is_healthy

    def restore_flow(
        self,
        key: FlowKey,
        last_ended_at: datetime | None,
        last_success_at: datetime | None,
        consecutive_failures: int,
    ) -> None:
        """Sets what the store knows of a flow, so that its gauges survive a restart.

        For a flow that came back after `forget_flow` too. Counters begin at 0 all the same: a
        reset is what Prometheus expects of a restart.
        """
        self._flows.restore(
            key,
            last_ended_at=last_ended_at,
            last_success_at=last_success_at,
            consecutive_failures=consecutive_failures,
        )

    def forget_flow(self, key: FlowKey) -> None:
        """Drops all that was counted of a flow; what it still runs is not counted by flow."""
        self._flows.forget(key)

    def forget_hook(self, hook: str) -> None:
        """Drops the series of a hook that is gone; `hook` as `webhook_answered` was given it."""
        for result in self._hook_results.pop(hook, ()):
            self._webhook_requests.remove(hook, result)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Returns the exposition and its content type; takes long with many flows.

        Meant for a thread beside the event loop; safe from any.

        Args:
            accept: The request's header. Only who asks for OpenMetrics 1 gets exemplars.
        """
        # The library's own choice fails on a version that is no number and repeats an unknown
        # one in its answer, so it sees only what we recognised (prometheus_client 0.26).
        is_openmetrics = wants_openmetrics(accept)
        wanted = f"{OPENMETRICS}; version=1.0.0" if is_openmetrics else ""
        encoder, content_type = choose_encoder(wanted)
        flows = exposition(self._flow_families.all(), is_openmetrics=is_openmetrics)
        rest: bytes = encoder(self._registry)
        if is_openmetrics:
            return rest.removesuffix(_END) + flows + _END, content_type
        return rest + flows, content_type


class _FlowFamilies:
    """Shows the facts and the totals of flows as they are when a scrape asks."""

    def __init__(self, ledger: FlowLedger) -> None:
        self._ledger = ledger
        self.facts: Callable[[], Iterable[FlowFacts]] | None = None

    def all(self) -> Iterator[Family]:
        """Yields the families of all flows."""
        totals, none = self._ledger.snapshot(), FlowTotals()
        if self.facts is not None:
            facts = tuple(self.facts())
            yield from fact_families(facts)
            listed = [fact.key for fact in facts if fact.key is not None]
            totals = {key: totals.get(key, none) for key in listed}
        yield from total_families(totals)


class _StateCollector(Collector):
    """Shows what others know when a scrape asks; what is not known is left out."""

    def __init__(self) -> None:
        self.revision: Callable[[], str] | None = None
        self.is_watcher_up: Callable[[], bool] | None = None
        self.overflows: Callable[[], int] | None = None
        self.free_bytes: Callable[[], int] | None = None
        self.is_store_healthy: Callable[[], bool] | None = None
        self.more: list[Callable[[], Iterable[Family]]] = []

    def collect(self) -> Iterator[Metric]:
        """Yields what is known."""
        if self.revision is not None and (revision := self.revision()):
            yield _metric(source_family(revision))
        if self.is_watcher_up is not None:
            yield _metric(watcher_family(is_up=self.is_watcher_up()))
        yield from (_metric(family) for families in self.more for family in families())
        if self.overflows is not None:
            yield _metric(overflows_family(self.overflows()))
        if self.is_store_healthy is not None:
            yield _metric(store_family(is_healthy=self.is_store_healthy()))
        if self.free_bytes is not None:
            # A lost disk must not take the other metrics with it.
            with suppress(OSError):
                yield _metric(free_bytes_family(self.free_bytes()))


def _metric(family: Family) -> Metric:
    """Returns the library's form of a family."""
    metric = _KINDS[family.kind](family.name, family.meaning)
    name = family.name + SUFFIXES[family.kind]
    for values, value in family.samples:
        metric.add_sample(name, dict(zip(family.labels, values, strict=True)), value)
    return metric


def _seconds(begin: datetime, end: datetime) -> float:
    """Returns a duration; 0 when the wall clock was set back meanwhile."""
    return max((end - begin).total_seconds(), 0.0)
