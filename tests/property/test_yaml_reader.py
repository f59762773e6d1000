"""The YAML reader on whatever there is: bytes, fragments of YAML, and data written by a dumper."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator

import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowrunner.definitions.document import Document, Path
from flowrunner.definitions.source import Position
from flowrunner.definitions.yaml_reader import YamlError, read_yaml
from flowrunner.model.ids import Json
from tests.profile import examples

FRAGMENTS = (
    *["a", "b: ", "- ", "? ", ": ", ":", "[", "]", "{", "}", ",", ", ", "\n", "\n  ", "\r\n", "\r"],
    *[
        "'",
        '"',
        "|",
        ">",
        "|-\n",
        ">+2\n",
        "&x ",
        "*x",
        "*y ",
        "!t ",
        "!!int ",
        "!!str ",
        "!",
        "<<",
    ],
    *[
        "#",
        " # c",
        "%",
        "%YAML 1.2\n",
        "%TAG ! x\n",
        "---\n",
        "--- ",
        "...\n",
        "\t",
        "  ",
        "\\",
        "@",
    ],
    *["1", "0x1", "1e5", "true", "~", "${{ a }}", "{{ b }}", "é", "😀", "\ufeff", "\u2028", "\x00"],
    *["\\u12", "\\x41", "''", '\\"', "9" * 30, "[" * 60],
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
FORBIDDEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def check(data: bytes) -> None:
    """Reads a document and asks it for every position, or takes the one allowed error."""
    try:
        document = read_yaml(data, file="f.yaml")
    except YamlError as error:
        finding = error.finding
        at = Position(finding.line, finding.column)
        assert all(c == "\t" or unicodedata.category(c) != "Cc" for c in finding.excerpt)
    else:
        at = document.position(())
        for path, value in walk(document.data):
            inside(data, document.position(path))
            inside(data, document.position(path, key=True))
            assert (document.source_text(path) is None) == isinstance(value, str | list | dict)
            locate_all(data, document, path, value)
    inside(data, at)


def walk(data: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    yield path, data
    children = enumerate(data) if isinstance(data, list) else ()
    for part, child in data.items() if isinstance(data, dict) else children:
        yield from walk(child, (*path, part))


def source_lines(data: bytes) -> list[str]:
    text = data.decode(errors="replace").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def inside(data: bytes, position: Position) -> None:
    lines = source_lines(data)
    assert 1 <= position.line <= len(lines)
    assert 1 <= position.column <= len(lines[position.line - 1]) + 1


def locate_all(data: bytes, document: Document, path: Path, value: Json) -> None:
    """Each located code point is the right one, or the place is where the text begins."""
    start = document.locate(path, -1)
    lines = source_lines(data)
    for offset, character in enumerate(value if isinstance(value, str) else ""):
        at = document.locate(path, offset)
        inside(data, at)
        rest = lines[at.line - 1][at.column - 1 :]
        written = rest.startswith((character, "\\", "''"))
        at_break = character in " \n" and not rest.strip()
        assert written or at_break or at == start


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_finding(data: bytes) -> None:
    """Whatever the bytes, there is a document or one finding, with positions inside the file."""
    check(data)


@settings(max_examples=examples(200))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
def test_any_fragments_of_yaml_are_a_document_or_a_finding(text: str) -> None:
    """Whatever the order of YAML's own signs, there is a document or one finding."""
    check(text.encode())


@given(DATA, st.sampled_from(['"', "'"]), st.sampled_from([None, True, False]))
def test_data_written_in_quotes_is_read_back(
    data: Json,
    style: str,
    flow: bool | None,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """What a dumper writes with quoted texts comes back equal and of the same types."""
    text = yaml.safe_dump(data, default_style=style, default_flow_style=flow, sort_keys=False)
    document = read_yaml(text.encode(), file="f.yaml")

    assert repr(document.data) == repr(data)


@given(DATA)
def test_json_is_read_back(data: Json) -> None:
    """JSON with its characters written out is YAML, and its values come back."""
    text = json.dumps(data, ensure_ascii=False)
    assume(not FORBIDDEN.search(text))

    assert read_yaml(text.encode(), file="f.yaml").data == data


@given(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), min_size=1))
def test_offsets_in_a_literal_block_are_exact(lines: list[str]) -> None:
    """Every code point of a literal block is located at its own line and column."""
    block = "".join(f"    {line}\n" for line in lines)
    document = read_yaml(f"a:\n  b: |\n{block}".encode(), file="f.yaml")
    value: str = document.data["a"]["b"]

    assert value == "".join(f"{line}\n" for line in lines)
    for number, line in enumerate(lines):
        begin = sum(len(before) + 1 for before in lines[:number])
        for column in range(len(line)):
            assert document.locate(("a", "b"), begin + column) == Position(3 + number, 5 + column)


def test_every_character_is_allowed_or_a_finding() -> None:
    """The parser never meets a character that it refuses with an error of its own."""
    planes = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    for begin in range(0, 0x10000, 64):
        check(("# " + "".join(planes[begin : begin + 64])).encode())
    rest = planes[0xF800:]
    for begin in range(0, len(rest), 200_000):
        document = read_yaml(("# " + "".join(rest[begin : begin + 200_000])).encode(), file="f")
        assert document.data is None
