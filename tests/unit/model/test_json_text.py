"""An encoder that is made once says what the library says."""

from __future__ import annotations

import json
import math
from json import encoder as library

import pytest

from flowrunner.model.ids import Json
from flowrunner.model.json_text import encoder

VALUES: tuple[Json, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**70,
        1.0,
        1e16,
        1e-7,
        "",
        "Größe",
        '"\\\n\x00\x7f\u2028',
        "\ud800",
        "😀",
    ),
    *([], {}, [1, [2, {"b": [], "a": {}}]], {"b": 1, "a": "é", "B": [None, False]}),
    {1: "one", None: 2, False: 3.5},
)
FORMS: tuple[dict[str, Json], ...] = (
    {},
    {"separators": (", ", ": "), "ensure_ascii": False},
    {"ensure_ascii": False, "allow_nan": False},
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_compiled", [True, False])
def test_text_is_that_of_the_library(
    form: dict[str, Json], *, is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests and records are the same for ever, also without the encoder in C."""
    if not is_compiled:
        monkeypatch.setattr(library, "c_make_encoder", None)
    encode = encoder(**form)
    plain = json.JSONEncoder(**{"separators": (",", ":"), **form})
    assert [encode(value) for value in VALUES] == [plain.encode(value) for value in VALUES]


def test_keys_are_sorted_where_that_is_asked_for() -> None:
    """One content has one text, at any depth."""
    assert encoder(sort_keys=True)({"b": {"d": 1, "c": 2}, "a": 3}) == '{"a":3,"b":{"c":2,"d":1}}'


def test_what_json_cannot_carry_is_refused_where_that_is_asked_for() -> None:
    """An infinity is no number of JSON."""
    with pytest.raises(ValueError):
        encoder(allow_nan=False)([math.inf])
