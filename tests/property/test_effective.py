"""The digest of a flow: the same for every way to say the same thing, another for another."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.definitions.folder_defaults import Layers
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import Json
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()

durations = st.sampled_from(["1s", "90s", "2m", "1h"])
retries = st.fixed_dictionaries(
    {}, optional={"max_attempts": st.integers(1, 4), "delay": durations}
)
of_nodes = st.fixed_dictionaries(
    {}, optional={"timeout": durations, "kill_after": durations, "retry": retries.filter(bool)}
)
maps = st.dictionaries(st.sampled_from("ABCD"), st.sampled_from(["x", "y", "z"]), max_size=3)
labels = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["x", "y", "z"]), max_size=3)
Level = dict[str, dict[str, Json]]
levels: st.SearchStrategy[Level] = st.builds(
    lambda env, labels, defaults: {"env": env, "labels": labels, "defaults": defaults},
    maps,
    labels,
    of_nodes,
)


@st.composite
def placements(draw: st.DrawFn) -> tuple[list[Level], list[Level]]:
    """Three levels, outermost first, and the same with some values moved to another level.

    A value may move outwards past levels that do not have its key: it wins all the same.
    """
    before: list[Level] = draw(st.lists(levels, min_size=3, max_size=3))
    after: list[Level] = json.loads(json.dumps(before))
    for section in ("env", "labels", "defaults"):
        for level in (2, 1):
            for key in list(after[level][section]):
                is_free = key not in after[level - 1][section]
                if is_free and draw(st.booleans()):
                    after[level - 1][section][key] = after[level][section].pop(key)
    return before, after


def compiled(levels: list[Level], write: Mapping[str, bool]) -> FlowSpec:
    """Compiles a flow below two folders; `write` says how it is written."""
    *folders, own = levels
    nodes = [
        {"id": "a", "run": "make"},
        {"id": "b", "type": "wait", "params": {"for": "1s"}},
        {"id": "c", "run": "make", "timeout": "7m", "retry": {"max_attempts": 2}},
    ]
    flow = {"version": 1, "name": "example", **own, "nodes": nodes}
    chain = tuple(
        COMPILER.read_defaults(text_of(folder, write), file=f"{'a/' * depth}_defaults.yaml")
        for depth, folder in enumerate(folders)
    )
    candidate = COMPILER.read(
        text_of(flow, write), file="a/f.yaml", account="default", layers=Layers(chain)
    )
    assert candidate.findings == ()
    assert candidate.spec is not None
    return candidate.spec


def text_of(data: Mapping[str, Json], write: Mapping[str, bool]) -> bytes:
    """Writes a file with or without a comment, its keys in this order or the other."""
    keys = list(data)[::-1] if write["turned"] else list(data)
    text = json.dumps({key: data[key] for key in keys}, indent=1 if write["wide"] else None)
    return (("# a comment\n" if write["comment"] else "") + text).encode()


ways = st.fixed_dictionaries({key: st.booleans() for key in ("turned", "wide", "comment")})


@given(placements(), ways, ways)
def test_digest_depends_on_the_effect_alone(
    levels: tuple[list[Level], list[Level]], one: dict[str, bool], other: dict[str, bool]
) -> None:
    """Comments, the order of keys, and the file a default came from are not in the digest."""
    before, after = compiled(levels[0], one), compiled(levels[1], other)

    assert before.digest == after.digest
    assert before == after


@given(
    st.lists(levels, min_size=3, max_size=3),
    ways,
    st.sampled_from(
        [("env", "A", "other"), ("labels", "a", "other"), ("defaults", "timeout", "8h")]
    ),
)
def test_another_effect_is_another_digest(
    levels: list[Level], write: dict[str, bool], change: tuple[str, str, str]
) -> None:
    """A value that wins counts, wherever it stands."""
    section, key, value = change
    changed: list[Level] = json.loads(json.dumps(levels))
    nearest = next((each for each in reversed(changed) if key in each[section]), changed[0])
    nearest[section][key] = value

    assert compiled(levels, write).digest != compiled(changed, write).digest
