"""The body of a delivery is one value, whoever reads it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.errors import ValidationError
from flowrunner.model.body import Content, body_value
from flowrunner.model.depth import is_deeper
from flowrunner.triggers.hook_body import JSON_DEPTH, read_body

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)
BODIES = st.one_of(
    st.binary(max_size=40),
    VALUES.map(lambda value: json.dumps(value).encode()),
    VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8-sig", "replace")),
    st.lists(st.sampled_from(["a=b", "a=c", "b=%41", "&", "%ff"]), max_size=5).map(
        lambda parts: "&".join(parts).encode()
    ),
)


@given(body=BODIES, content=st.sampled_from(Content))
def test_trigger_and_nodes_see_the_same_body(body: bytes, content: Content) -> None:
    """What `if` of a hook sees, as it was read, is what the nodes see, who read it again."""
    try:
        value = read_body(body, content)
    except ValidationError:
        return
    assert value == body_value(body, content)


@given(depth=st.integers(1, 2 * JSON_DEPTH), in_maps=st.booleans(), pad=st.text("[{", max_size=99))
def test_body_is_refused_as_soon_as_it_is_too_deep(depth: int, pad: str, *, in_maps: bool) -> None:
    """Brackets within texts change nothing, though all are counted before others are looked at."""
    opening, closing = ('{"a":', "}") if in_maps else ("[", "]")
    text = opening * depth + json.dumps(pad) + closing * depth
    try:
        value = read_body(text.encode(), Content.JSON)
    except ValidationError:
        assert is_deeper(json.loads(text), JSON_DEPTH)
    else:
        assert not is_deeper(value, JSON_DEPTH)
