"""What is written as YAML reads back as the same value."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.cli.yaml_writer import to_yaml
from flowrunner.definitions.yaml_reader import read_yaml

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["null", "~", "yes", "1", "1e3", "0x1", "- a", "a: b", "a #b", "", " ", "n"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def read_back(value: Any) -> Any:
    return read_yaml(to_yaml(value).encode(), file="written.yaml").data


@pytest.mark.heavy
@given(VALUES)
def test_strict_reader_reads_the_same_value(value: Any) -> None:
    """Whatever JSON can say comes back unchanged from our own reader."""
    assert read_back(value) == value
    assert json.dumps(read_back(value)) == json.dumps(value)


@pytest.mark.heavy
@given(TEXT)
def test_other_readers_read_the_same_text(text: str) -> None:
    """A reader of YAML 1.1 takes no text for a boolean, a number or a date."""
    assert yaml.safe_load(to_yaml({"key": text})) == {"key": text}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param({}, "{}\n", id="empty-mapping"),
        pytest.param([], "[]\n", id="empty-list"),
        pytest.param(None, "null\n", id="null"),
        pytest.param(
            {"items": [{"a": 1, "b": [True, None]}, []], "next": None},
            "items:\n  - a: 1\n    b:\n      - true\n      - null\n  - []\nnext: null\n",
            id="nested",
        ),
        pytest.param([[1, [2]], {}], "- - 1\n  - - 2\n- {}\n", id="lists-in-lists"),
        pytest.param(
            {"revision": "sha256:ab", "at": "2027-03-01T12:00:00Z", "n": "no"},
            'revision: sha256:ab\nat: "2027-03-01T12:00:00Z"\n"n": "no"\n',
            id="quotes-where-in-doubt",
        ),
        pytest.param("a\nb\t\x1b\u2028\x85", '"a\\nb\\u0009\\u001b\\u2028\\u0085"\n', id="escapes"),
        pytest.param('"\\', '"\\"\\\\"\n', id="quote-and-backslash"),
        pytest.param("Grüße 漢 😀", '"Grüße 漢 😀"\n', id="letters-of-the-world"),
    ],
)
def test_layout_is_for_people(value: Any, written: str) -> None:
    """Mappings and lists are in block style, plain words have no quotes."""
    assert to_yaml(value) == written
    assert read_back(value) == value


@pytest.mark.parametrize("content", [1, {"a": 1}, [1], [], {}], ids=repr)
def test_long_key_is_written_explicitly(content: Any) -> None:
    """A key longer than YAML allows before a colon reads back all the same."""
    value = {"\x1b" * 900: content, "after": 1}
    assert read_back([value]) == [value]
    longer = [{"k" * 3_000: content}]
    assert yaml.safe_load(to_yaml(longer)) == longer


def test_half_a_surrogate_pair_becomes_its_escape() -> None:
    """Output that was no UTF-8 is shown as text, since no YAML can hold it."""
    assert read_back("a\udcffb") == "a\\udcffb"
