"""How a figure is taken: rounds that alternate the subject and its comparison, and their spread.

A shared machine is noisy, so a row always stands beside a floor measured in the same run, and is
quoted as median (min-max) with the median of the ratios of each round.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

Measure = Callable[[], float]
"""Takes one sample and returns seconds, or what the unit of its row says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of `BUDGETS.md`, measured.

    Attributes:
        seconds: Samples of the subject.
        floor_seconds: Samples of the comparison, taken in turns with the subject.
        unit: What samples and budget are in the table: `ms` (the samples are seconds), else as they
            are.
    """

    number: str
    work: str
    budget_s: float
    floor: str
    seconds: tuple[float, ...]
    floor_seconds: tuple[float, ...]
    unit: str = "ms"

    @property
    def median_s(self) -> float:
        """Median of the subject in seconds."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """Median over the rounds of subject divided by floor."""
        pairs = zip(self.seconds, self.floor_seconds, strict=True)
        return statistics.median(subject / floor for subject, floor in pairs)


def measure(
    *,
    number: str,
    work: str,
    budget_s: float,
    subject: Measure,
    floor: Measure,
    floor_name: str,
    rounds: int,
    unit: str = "ms",
) -> Row:
    """Takes `rounds` samples of both, in turns, after one of each that does not count."""
    subject(), floor()
    samples = [(subject(), floor()) for _ in range(rounds)]
    return Row(
        number=number,
        work=work,
        budget_s=budget_s,
        floor=floor_name,
        seconds=tuple(sample[0] for sample in samples),
        floor_seconds=tuple(sample[1] for sample in samples),
        unit=unit,
    )


def render_table(rows: Sequence[Row]) -> str:
    """Returns the rows as a Markdown table, milliseconds where a row names no other unit."""
    lines = [
        "| row | work | median (min-max) | floor | ratio | budget | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        verdict = "reached" if row.median_s <= row.budget_s else "missed"
        floor_s = statistics.median(row.floor_seconds)
        low, high = min(row.seconds), max(row.seconds)
        lines.append(
            f"| {row.number} | {row.work} "
            f"| {_text(row, row.median_s)} ({_text(row, low)}-{_text(row, high)}) {row.unit} "
            f"| {_text(row, floor_s)} ({row.floor}) | {row.ratio:.2f} "
            f"| {_text(row, row.budget_s)} | {verdict} |"
        )
    return "\n".join(lines)


def render_json(rows: Sequence[Row]) -> str:
    """Returns the rows with every sample as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def _text(row: Row, value: float) -> str:
    return _ms(value) if row.unit == "ms" else f"{value:.3g}"


def _ms(seconds: float) -> str:
    """Returns milliseconds with two digits, from ten on with all before the point."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.2g}"
