"""Families as text for a scrape, in both formats; ten thousand flows have fifty thousand samples.

The library writes the same text in twenty times the time, with an object for each sample; a test
shows that both agree. What is written is decided by `flowrunner.telemetry.metrics_samples`.

Source: Prometheus, "Exposition formats", text-based format; OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import inf, isnan

from flowrunner.telemetry.metrics_samples import Family

OPENMETRICS = "application/openmetrics-text"

SUFFIXES: Mapping[str, str] = {"counter": "_total", "gauge": "", "info": "_info"}
"""What the samples of each kind add to the name of their family."""

_KEPT_NUMBERS = 256
_SHORTEST = 6
"""Digits before the point beyond which Go, in which Prometheus is written, uses an exponent."""
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class _Shown(dict[tuple[str, ...], str]):
    """Values of some labels as text; each is written once for all samples that have it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, values: tuple[str, ...]) -> str:
        pairs = zip(self._names, values, strict=True)
        text = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs)
        self[values] = text
        return text


_Labels = dict[tuple[str, ...], _Shown]


def exposition(families: Iterable[Family], *, is_openmetrics: bool) -> bytes:
    """Returns the text of families, without the mark of the end that OpenMetrics has."""
    labels: _Labels = {}
    texts = (_text(each, labels, is_openmetrics=is_openmetrics) for each in families)
    return "".join(texts).encode()


def _text(family: Family, labels: _Labels, *, is_openmetrics: bool) -> str:
    name = family.name + SUFFIXES[family.kind]
    head, kind = (family.name, family.kind) if is_openmetrics else (name, _old_kind(family))
    escapes = _ESCAPES if is_openmetrics else _HELP_ESCAPES
    if list(family.labels) != sorted(family.labels):
        raise ValueError(f"the labels of {name} are not in order")
    top = f"# HELP {head} {family.meaning.translate(escapes)}\n# TYPE {head} {kind}\n"
    return top + "".join(_lines(name, family, labels))


def _lines(name: str, family: Family, labels: _Labels) -> list[str]:
    """Returns the lines of the samples; account and flow are the same in many families."""
    first, rest = family.labels[:2], family.labels[2:]
    if not first:
        return [f"{name} {number_text(value)}\n" for _, value in family.samples]
    known = labels.setdefault(first, _Shown(first))
    if not rest:
        return [
            f"{name}{{{known[tuple(values)]}}} {number_text(value)}\n"
            for values, value in family.samples
        ]
    more = labels.setdefault(rest, _Shown(rest))
    return [
        f"{name}{{{known[tuple(values[:2])]},{more[tuple(values[2:])]}}} {number_text(value)}\n"
        for values, value in family.samples
    ]


def _old_kind(family: Family) -> str:
    return "gauge" if family.kind == "info" else family.kind


@lru_cache(maxsize=_KEPT_NUMBERS)
def number_text(value: float) -> str:
    """Returns a number as Go writes it: `1.0`, `1.7641e+09`, `+Inf`."""
    number = float(value)
    if isnan(number):
        return "NaN"
    if number in (inf, -inf):
        return "+Inf" if number > 0 else "-Inf"
    text = repr(number)
    point = text.find(".")
    if number > 0 and point > _SHORTEST:
        mantissa = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{point - 1:02d}"
    return text


def wants_openmetrics(accept: str) -> bool:
    """Whether an `Accept` header asks for OpenMetrics 1; the library fails on odd versions."""
    for part in accept.split(","):
        media_type, *parameters = (word.strip() for word in part.split(";"))
        versions = [word for word in parameters if word.startswith("version=")]
        if media_type == OPENMETRICS and all(word == "version=1.0.0" for word in versions):
            return True
    return False
