"""What a scrape reads of flows: the same text as the library would write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from flowrunner.telemetry.exposition import SUFFIXES, exposition, number_text
from flowrunner.telemetry.metrics_samples import Family

FAMILIES = [
    Family(
        kind="gauge",
        name="flowrunner_flow_ready",
        meaning='Whether a "flow" is\nready \\ not.',
        labels=("account", "flow"),
        samples=[(("default", "a"), 1), (("team", 'b"\\\n☃'), 0)],
    ),
    Family(
        kind="counter",
        name="flowrunner_executions",
        meaning="Executions that ended.",
        labels=("account", "flow", "state"),
        samples=[(("default", "a", "failed"), 12), (("default", "a", "succeeded"), 0.5)],
    ),
    Family(
        kind="gauge",
        name="flowrunner_flow_last",
        meaning="When.",
        labels=("account", "flow"),
        samples=[(("default", "a"), 1_764_180_000.25), (("default", "b"), 1_000_000.0)],
    ),
    Family(kind="gauge", name="flowrunner_up", meaning="Up.", samples=[((), 1)]),
    Family(
        kind="info",
        name="flowrunner_source",
        meaning="The revision.",
        labels=("revision",),
        samples=[(("sha256:ab",), 1)],
    ),
    Family(kind="counter", name="flowrunner_none", meaning="None yet.", samples=[]),
]

MAKERS: Mapping[str, Callable[[str, str], Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "info": InfoMetricFamily,
}


class Library(Collector):
    """The same families as the library knows them."""

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            metric = MAKERS[family.kind](family.name, family.meaning)
            for values, value in family.samples:
                labels = dict(zip(family.labels, values, strict=True))
                metric.add_sample(family.name + SUFFIXES[family.kind], labels, value)
            yield metric


def test_the_text_format_is_that_of_the_library() -> None:
    """Byte for byte, with everything that is to be escaped."""
    registry = CollectorRegistry()
    registry.register(Library())
    assert exposition(FAMILIES, is_openmetrics=False) == generate_latest(registry)


def test_openmetrics_is_that_of_the_library() -> None:
    """Byte for byte, but for the mark of the end."""
    registry = CollectorRegistry()
    registry.register(Library())
    whole = generate_openmetrics(registry)  # type: ignore[no-untyped-call]
    assert exposition(FAMILIES, is_openmetrics=True) + b"# EOF\n" == whole


@given(st.one_of(st.floats(), st.integers(-(10**20), 10**20)))
def test_numbers_are_written_as_the_library_writes_them(number: float) -> None:
    """Every float, with the exponents of Go; the sign of a zero is nobody's."""
    if number == 0:
        number = 0.0
    assert number_text(number) == floatToGoString(number)  # type: ignore[no-untyped-call]


def test_labels_out_of_order_are_refused() -> None:
    """The library sorts them; two orders of the same labels would be two series."""
    family = Family(kind="gauge", name="x", meaning="X.", labels=("b", "a"), samples=[])
    with pytest.raises(ValueError, match="not in order"):
        exposition([family], is_openmetrics=False)
