"""Hypothesis strategies: definitions that were good until somebody edited them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator

from hypothesis import strategies as st

from flowrunner.model.ids import Json
from tests.definitions.examples import GOOD, GOOD_DEFAULTS, data_of

Path = tuple[str | int, ...]

GOOD_DATA: tuple[Json, ...] = tuple(data_of(path) for path in GOOD)
GOOD_DEFAULTS_DATA: tuple[Json, ...] = tuple(data_of(path) or {} for path in GOOD_DEFAULTS)


def paths(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yields the path of every value below the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for part, item in items:
        yield (*path, part)
        if isinstance(item, dict | list):
            yield from paths(item, (*path, part))


def at(value: Json, path: Path) -> Json:
    """Returns the value at a path."""
    for part in path:
        value = value[part]
    return value


KEYS = tuple(
    sorted(
        {str(part) for data in GOOD_DATA for path in paths(data) for part in path}
        | {"", "on", "x y", "nmae", "${{ x }}", "a/b~c", "Größe", "k" * 64, "k" * 200}
    )
)
PARTS = tuple(at(data, path) for data in GOOD_DATA for path in paths(data))
"""Every value of every good file, to be put where it does not belong."""

ODD: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 1e300, 2**63 - 1, -(2**63)),
    *("", " ", "x", "1", "true", "null", "90s", "1ms", "0s", "9" * 30 + "s", "64KiB", "a\n", "é😀"),
    *("${{", "${{ }}", "$${{ x }}", "${{ secrets.TOKEN }}", "${{ nodes.build.outputs.rows }}"),
    *("${{ inputs.day }}", "${{ nodes.build }}", "success()", "a" * 300, "${{ 'x' }} ${{ 1 }}"),
    *("shell", "http", "exec", "schedule", "file", "hmac", "gitlab", "integer", "* * * * *"),
    *("@daily", "Europe/Berlin", "UTC", "build", "hello", "a/b", "/a"),
    *([], {}, [None], [[]], [{}], {"": None}, {"a": 1}, ["a", "a"], ["build"], {"x": {"y": []}}),
)


@st.composite
def mutants(draw: st.DrawFn) -> Json:
    """Returns a good definition with one to four edits."""
    return _edited(draw, draw(st.sampled_from(GOOD_DATA)), fewest=1)


@st.composite
def defaults_mutants(draw: st.DrawFn) -> Json:
    """Returns good defaults of a folder with up to four edits."""
    return _edited(draw, draw(st.sampled_from(GOOD_DEFAULTS_DATA)), fewest=0)


def _edited(draw: st.DrawFn, good: Json, *, fewest: int) -> Json:
    data: Json = copy.deepcopy(good)
    for _ in range(draw(st.integers(fewest, 4))):
        draw(st.sampled_from(EDITS))(draw, data)
    return data


def _place(draw: st.DrawFn, data: Json) -> tuple[Json, str | int] | None:
    known = list(paths(data))
    if not known:
        return None
    *parents, last = draw(st.sampled_from(known))
    return at(data, tuple(parents)), last


def _value(draw: st.DrawFn) -> Json:
    part = draw(st.sampled_from(ODD) | st.sampled_from(PARTS) | st.text(max_size=8))
    return copy.deepcopy(part)


def _delete(draw: st.DrawFn, data: Json) -> None:
    if place := _place(draw, data):
        del place[0][place[1]]


def _replace(draw: st.DrawFn, data: Json) -> None:
    if place := _place(draw, data):
        place[0][place[1]] = _value(draw)


def _add(draw: st.DrawFn, data: Json) -> None:
    place = _place(draw, data)
    holder = data if place is None else place[0]
    if isinstance(holder, list):
        holder.append(_value(draw))
    else:
        holder[draw(st.sampled_from(KEYS))] = _value(draw)


def _rename(draw: st.DrawFn, data: Json) -> None:
    place = _place(draw, data)
    if place and isinstance(place[0], dict):
        place[0][draw(st.sampled_from(KEYS))] = place[0].pop(place[1])


def _repeat(draw: st.DrawFn, data: Json) -> None:
    place = _place(draw, data)
    if place and isinstance(place[0], list):
        place[0].append(copy.deepcopy(place[0][int(place[1])]))


EDITS: tuple[Callable[[st.DrawFn, Json], None], ...] = (_delete, _replace, _add, _rename, _repeat)


def json_with_twins(value: Json, twins: Callable[[], bool]) -> str:
    """Returns JSON in which keys stand twice where `twins` says so."""
    if isinstance(value, list):
        return "[" + ", ".join(json_with_twins(item, twins) for item in value) + "]"
    if not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    pairs: list[str] = []
    for key, item in value.items():
        pair = f"{json.dumps(key, ensure_ascii=False)}: {json_with_twins(item, twins)}"
        pairs.extend([pair, pair] if twins() else [pair])
    return "{" + ", ".join(pairs) + "}"
