"""Promises of `flowrunner.definitions.yaml_reader`: strict YAML, or one finding with its place."""

from __future__ import annotations

import re
import tracemalloc

import pytest

from flowrunner.definitions import codes
from flowrunner.definitions.source import Source
from flowrunner.definitions.yaml_reader import Document, Position, YamlError, read_yaml
from flowrunner.errors import ValidationError
from flowrunner.model.finding import Finding, Severity
from flowrunner.model.ids import Json

MIB = 1_048_576


def read(text: str) -> Document:
    return read_yaml(text.encode(), file="f.yaml")


def refused(data: str | bytes) -> Finding:
    raw = data.encode() if isinstance(data, str) else data
    with pytest.raises(YamlError) as caught:
        read_yaml(raw, file="f.yaml")
    return caught.value.finding


def place(finding: Finding) -> tuple[str, int, int]:
    return finding.code, finding.line, finding.column


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[pytest.param(word, True, id=f"word-{word}") for word in ("true", "True", "TRUE")],
        *[pytest.param(word, False, id=f"word-{word}") for word in ("false", "False", "FALSE")],
        *[pytest.param(word, None, id=f"word-{word}") for word in ("null", "Null", "NULL", "~")],
        pytest.param("", None, id="empty"),
        pytest.param("0", 0, id="zero"),
        pytest.param("-0", 0, id="minus-zero"),
        pytest.param("+12", 12, id="plus"),
        pytest.param("-9223372036854775808", -(2**63), id="smallest-integer"),
        pytest.param("9223372036854775807", 2**63 - 1, id="largest-integer"),
        pytest.param("1.10", 1.1, id="decimal"),
        pytest.param("-.5", -0.5, id="no-digit-before-point"),
        pytest.param("12.", 12.0, id="no-digit-after-point"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param("1.5E-3", 0.0015, id="decimal-and-exponent"),
    ],
)
def test_plain_scalar_is_typed_when_yaml_12_says_so(text: str, value: Json) -> None:
    """The words, integers and decimal numbers of the format are values of that type."""
    data = read(f"k: {text}").data["k"]

    assert data == value
    assert type(data) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *["on", "off", "yes", "NO", "y", "nULL", "tRUE", "Infinity"],
        *["12:30", "1:30:00", "0755", "00", "-01", "0o17", "0x1f", "0b1", "1_000"],
        *["2024-13-45", "2026-03-30", "2026-03-30T02:30:00Z", ".inf", "-.inf", ".nan"],
        *["1.2.3", "1e", "e3", "1e3.5", ".", "+", "+-1", "1,5", "١٢", "=", "5m"],
    ],
)
def test_plain_scalar_stays_text_otherwise(text: str) -> None:
    """What YAML 1.1 turned into booleans, times, octals or dates keeps its text."""
    assert read(f"k: {text}").data == {"k": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("'true'", "true", id="single-quoted"),
        pytest.param('"1"', "1", id="double-quoted"),
        pytest.param("''", "", id="quoted-empty"),
        pytest.param("|\n  12\n", "12\n", id="literal"),
        pytest.param(">-\n  null\n", "null", id="folded"),
        pytest.param("!!str 1.10", "1.10", id="tag-str"),
        pytest.param("!!int '7'", 7, id="tag-int"),
        pytest.param("!!float 7", 7.0, id="tag-float"),
        pytest.param("!!bool 'true'", True, id="tag-bool"),
        pytest.param("!!null ''", None, id="tag-null"),
        pytest.param("!!seq [a]", ["a"], id="tag-seq"),
        pytest.param("!!map {a: b}", {"a": "b"}, id="tag-map"),
    ],
)
def test_quotes_blocks_and_core_tags_decide_the_type(text: str, value: Json) -> None:
    """Quoted and block scalars are text, and a core tag gives its own type."""
    data = read(f"k: {text}").data["k"]

    assert data == value
    assert type(data) is type(value)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param(
            "on: a\nno: b\n1: c\n1.10: d\nnull: e\n~: f", "on no 1 1.10 null ~", id="plain"
        ),
        pytest.param("'1': a\n\"on\": b\n!!str x: c", "1 on x", id="quoted-and-tagged"),
        pytest.param("z: a\na: b\nm: c", "z a m", id="order-of-the-file"),
        pytest.param("a: &n b\n*n : c", "a b", id="alias"),
        pytest.param("? a\n: b\n? c", "a c", id="explicit"),
        pytest.param('"<<": a', "<<", id="quoted-merge"),
    ],
)
def test_key_is_its_source_text(text: str, keys: str) -> None:
    """Keys are texts in the order of the file, whatever they look like."""
    assert list(read(text).data) == keys.split()


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# only a comment\n", "---\n", "---\n...\n", "\ufeff", "null"],
    ids=["empty", "blank", "comment", "start", "start-end", "byte-order-mark", "null"],
)
def test_empty_document_has_no_data(text: str) -> None:
    """A file without content is a document whose data is None, at line 1."""
    document = read(text)

    assert document.data is None
    assert document.source_text(()) == text.strip("\ufeff")[: 4 if text == "null" else 0]
    assert document.position(()) in {Position(1, 1), Position(2, 1)}


def test_position_of_nothing_at_the_end_is_the_end_of_the_last_line() -> None:
    """The parser counts a line that the file does not have; a position never leaves the file."""
    assert read("---").position(()) == Position(1, 4)


@pytest.mark.parametrize("text", ["", "\n", "a\n\nb", "a\vb\x0cc\x1cd\u2028e\n", "a\r\nb\rc\n\n"])
def test_lines_end_where_yaml_ends_them(text: str) -> None:
    """At LF, CRLF and CR alone, with or without any of the latter two; never fewer than one."""
    expected = re.split("\r\n|\r|\n", text)
    assert Source(text, file="f.yaml").lines == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_line_breaks_of_every_system_are_read_alike(end: str) -> None:
    """LF, CRLF and CR give the same data, positions and lines."""
    document = read(end.join(["a: 1", "run: |", "  x", "  ${{ y }}", "b: c # d", ""]))

    assert document.data == {"a": 1, "run": "x\n${{ y }}\n", "b": "c"}
    assert document.position(("b",)) == Position(5, 4)
    assert document.locate(("run",), 2) == Position(4, 3)
    assert document.excerpt(5) == "b: c # d"


def test_byte_order_mark_is_skipped() -> None:
    """A file that begins with a UTF-8 byte order mark is read, and columns do not count it."""
    document = read("\ufeffa: b")

    assert document.data == {"a": "b"}
    assert document.position(("a",), key=True) == Position(1, 1)


def test_document_may_end_in_markers_and_comments() -> None:
    """A start marker before and end markers and comments after the document are fine."""
    assert read("%YAML 1.2\n--- # c\na: 1\n...\n\n# d\n...\n").data == {"a": 1}


def test_alias_gives_the_anchored_value() -> None:
    """Anchors within a file are fine, and a later anchor of the same name counts from there."""
    document = read("a: &x [1]\nb: *x\nc: &x two\nd: *x\ne: &y\nf: *y")

    assert document.data == {"a": [1], "b": [1], "c": "two", "d": "two", "e": None, "f": None}


def test_anchor_of_a_key_gives_its_value() -> None:
    """An anchor on a key stands for the typed value of what is written there."""
    assert read("&n 1: a\nb: *n").data == {"1": "a", "b": 1}


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        pytest.param("a:\n\tb: 1", ("FR101", 2, 1), "tab Indent with spaces", id="tab"),
        pytest.param("run: |\n  a\n \tb\n", ("FR101", 3, 2), "tab", id="tab-in-block"),
        pytest.param("run: echo a: b", ("FR101", 1, 12), '":" Quote', id="colon-in-text"),
        pytest.param("a: {D: ${{ x }}}", ("FR101", 1, 9), "Quote expression", id="expr-in-map"),
        pytest.param("a: [${{ x }}]", ("FR101", 1, 6), "Quote expression", id="expr-in-list"),
        pytest.param("c: * * * * *", ("FR101", 1, 4), '"* * * * *"', id="cron"),
        pytest.param("p: %d", ("FR101", 1, 4), '"%" Quote', id="percent"),
        pytest.param("p: @x", ("FR101", 1, 4), '"@" Quote', id="at"),
        pytest.param("é: \u00e9 # ü\nb: `", ("FR101", 2, 4), '"`" Quote', id="backtick"),
        pytest.param("a: 'it's'", ("FR101", 1, 8), "quotation mark", id="apostrophe"),
        pytest.param('a: "C:\\data"', ("FR101", 1, 7), "single quotes", id="backslash"),
        pytest.param('a: "\\x4"', ("FR101", 1, 7), "hexadecimal", id="short-escape"),
        pytest.param('a: "\\ud83d"', ("FR101", 1, 7), "\\U0001F600", id="surrogate-escape"),
        pytest.param('a: "x\nb: 1\n', ("FR101", 1, 4), "never closed", id="open-quote"),
        pytest.param("a: [1, 2\n", ("FR101", 1, 4), "never closed", id="open-list"),
        pytest.param("a: {b: 1\n# c\n", ("FR101", 1, 4), "never closed", id="open-mapping"),
        pytest.param("a: [1\nb: 2", ("FR101", 2, 2), '"]" line 1, column 4', id="list-goes-on"),
        pytest.param("a:\n  b: 1\n c: 2", ("FR101", 3, 2), "indentation", id="dedent"),
        pytest.param("a: 1\nfoo\nb: 2", ("FR101", 2, 1), '"key: value"', id="no-colon"),
        pytest.param("- a\nb: 1", ("FR101", 2, 1), "list item", id="no-dash"),
        pytest.param("a: - b", ("FR101", 1, 4), "below its key", id="list-beside-key"),
        pytest.param("a: ? b", ("FR101", 1, 4), "key Quote", id="question-mark"),
        pytest.param("a: | x", ("FR101", 1, 6), "next line", id="text-beside-bar"),
        pytest.param("a: |0\n x", ("FR101", 1, 5), "0", id="indented-by-zero"),
        pytest.param("a: [,]", ("FR101", 1, 5), "missing", id="no-item"),
        pytest.param('a: "\n---\n"', ("FR101", 2, 1), '"---"', id="marker-in-quotes"),
        pytest.param("%FOO\n---\na", ("FR101", 1, 1), '"%FOO"', id="unknown-directive"),
        pytest.param("# c\n%YAML x\n---", ("FR101", 2, 1), "directive", id="bad-version"),
        pytest.param("%YAML 2.0\n---", ("FR101", 1, 1), "1.2", id="other-version"),
        pytest.param("%YAML 1.2\na", ("FR101", 2, 1), '"---"', id="no-start-marker"),
        pytest.param("a: b\n%c: d", ("FR101", 2, 1), "%", id="percent-at-line-start"),
        pytest.param("[a] b", ("FR101", 1, 5), "ended", id="text-after-end"),
        pytest.param("a: 1\n...\nb", ("FR101", 3, 1), "ended", id="text-after-marker"),
        pytest.param("a:\n  b: 1\n  b: 2", ("FR102", 3, 3), '"b" line 2, column 3', id="duplicate"),
        pytest.param("1: a\n'1': b", ("FR102", 2, 1), '"1"', id="duplicate-quoted"),
        pytest.param("a: !include x", ("FR103", 1, 4), '"!include" Quote', id="own-tag"),
        pytest.param("a: !!python/none x", ("FR103", 1, 4), "python", id="python-tag"),
        pytest.param("a: ! 1", ("FR103", 1, 4), '"!"', id="non-specific-tag"),
        pytest.param("a: !!set {b}", ("FR103", 1, 4), '"!!set"', id="set-tag"),
        pytest.param("a: !!int x", ("FR103", 1, 4), '"!!int"', id="misfit-tag"),
        pytest.param("a: !!seq x", ("FR103", 1, 4), '"!!seq"', id="misfit-list-tag"),
        pytest.param("a: !!str [b]", ("FR103", 1, 4), '"!!str"', id="misfit-text-tag"),
        pytest.param("!!int 1: a", ("FR103", 1, 1), '"!!int"', id="tagged-key"),
        pytest.param("a: !e!x b", ("FR103", 1, 4), "tag", id="undefined-handle"),
        pytest.param("a: !<x", ("FR103", 1, 4), "malformed", id="broken-tag"),
        pytest.param("%TAG ! x:\n---\na", ("FR103", 1, 1), "tags", id="tag-directive"),
        pytest.param("a: 1\n---\nb: 2", ("FR104", 2, 1), "second document", id="two-documents"),
        pytest.param("a: 1\n---\n", ("FR104", 2, 1), '"---"', id="trailing-marker"),
        pytest.param("a\n...\n%TAG ! x\n", ("FR104", 3, 1), "second", id="second-directive"),
        pytest.param("[\n" * 51, ("FR105", 51, 1), "50", id="depth-in-brackets"),
        pytest.param("- " * 51 + "a", ("FR105", 1, 101), "50", id="depth-in-items"),
        pytest.param("a: {{ x }}", ("FR113", 1, 5), "Quote expression", id="bare-expression"),
        pytest.param("{{ x }}: 1", ("FR113", 1, 1), "Quote expression", id="expression-as-key"),
        pytest.param("? [a]\n: b", ("FR113", 1, 3), "list", id="list-as-key"),
        pytest.param("a: &x [b]\n*x : c", ("FR113", 2, 1), "list", id="alias-of-list-as-key"),
        pytest.param("? \n: b", ("FR113", 1, 2), "missing", id="no-key"),
        pytest.param("? " + "k" * 1025, ("FR113", 1, 3), "1,024", id="long-key"),
        pytest.param("a: &x {}\nb:\n  <<: *x", ("FR112", 3, 3), '"<<"', id="merge-key"),
        pytest.param("a: 9223372036854775808", ("FR114", 1, 4), "large", id="beyond-64-bit"),
        pytest.param("- -9223372036854775809", ("FR114", 1, 3), "large", id="below-64-bit"),
        pytest.param("- &x 1e999", ("FR114", 1, 3), "large", id="beyond-double"),
        pytest.param("- 1." + "0" * 400, ("FR114", 1, 3), "large", id="too-many-digits"),
        pytest.param("- " + "9" * 200_000, ("FR114", 1, 3), "large", id="huge-integer"),
        pytest.param("a: *x", ("FR115", 1, 4), '"*x" Quote', id="undefined-alias"),
        pytest.param("a: *x\nb: &x 1", ("FR115", 1, 4), "above", id="alias-before-anchor"),
        pytest.param("a: &x\n  - *x", ("FR115", 2, 5), "own anchor", id="recursive-alias"),
    ],
)
def test_broken_file_gives_a_finding_where_it_is_broken(
    text: str, expected: tuple[str, int, int], words: str
) -> None:
    """Each fault has its code and position, and message or hint name the remedy."""
    finding = refused(text)

    assert place(finding) == expected
    said = f"{finding.message} {finding.hint}"
    assert all(word in said for word in words.split(" ")), said
    assert "found" not in said
    assert "expected" not in said


@pytest.mark.parametrize(
    ("data", "expected", "word"),
    [
        pytest.param(b"a: b\nc: \xff", ("FR107", 2, 4), "0xFF", id="not-utf8"),
        pytest.param("ä: \n".encode("latin-1"), ("FR107", 1, 1), "0xE4", id="latin-1"),
        pytest.param("a: b".encode("utf-16"), ("FR107", 1, 1), "0xFF", id="utf-16"),
        pytest.param(b"a: \xed\xa0\x80", ("FR107", 1, 4), "0xED", id="surrogate"),
        pytest.param(b"a: 'x\x00'", ("FR107", 1, 6), "U+0000", id="nul"),
        pytest.param(b"a: b # \x1b[31m", ("FR107", 1, 8), "U+001B", id="escape-in-comment"),
        pytest.param(b"a: b\x7f", ("FR107", 1, 5), "U+007F", id="delete"),
        pytest.param("a: ä\u0085", ("FR107", 1, 5), "U+0085", id="next-line"),
        pytest.param("a: |\n x\u2028y", ("FR107", 2, 3), "U+2028", id="line-separator"),
        pytest.param('a: "\u2029"', ("FR107", 1, 5), "U+2029", id="paragraph-separator"),
        pytest.param("a: \ufffe", ("FR107", 1, 4), "U+FFFE", id="no-character"),
        pytest.param("\ufeff\ufeffa: b", ("FR107", 1, 1), "U+FEFF", id="second-bom"),
    ],
)
def test_forbidden_character_is_found_where_it_stands(
    data: str | bytes, expected: tuple[str, int, int], word: str
) -> None:
    """What is not UTF-8 or cannot be seen is refused, and not shown raw in the excerpt."""
    finding = refused(data)

    assert place(finding) == expected
    assert word in finding.message
    assert finding.excerpt.isprintable()


def test_escapes_may_name_what_may_not_be_written() -> None:
    """Inside double quotes an escape gives characters that are refused outside."""
    assert read(r'"\0\x1b\N\L\P\ufeff"').data == "\0\x1b\x85\u2028\u2029\ufeff"


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"[" * 200_000 + b"]" * 200_000, "FR105", id="brackets"),
        pytest.param(b"{a: " * 250_000, "FR105", id="braces"),
        pytest.param(b"- " * 500_000, "FR105", id="items"),
        pytest.param(b"? " * 500_000, "FR113", id="keys-of-keys"),
        pytest.param(b"- \n" * 300_000, "FR108", id="many-values"),
        pytest.param(b"a: [" + b",".join([b"1"] * 300_000) + b"]", "FR108", id="many-items"),
        pytest.param(
            b"a0: &a0 [x]\n"
            + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b"*a%d," % (i - 1) * 9) for i in range(1, 30)),
            "FR108",
            id="billion-laughs",
        ),
        pytest.param(
            b"a: &a '" + b"x" * 500_000 + b"'\nb: [" + b"*a," * 99_000 + b"]",
            "FR108",
            id="long-text-repeated",
        ),
        pytest.param(
            b"a: &a {k: '" + b"x" * 500_000 + b"'}\nb: [" + b"*a," * 20_000 + b"]",
            "FR108",
            id="long-text-in-mapping-repeated",
        ),
        pytest.param(
            b"a0: &a0 " + b"[" * 40 + b"]" * 40 + b"\na1: " + b"[" * 11 + b"*a0" + b"]" * 11,
            "FR105",
            id="depth-by-alias",
        ),
        pytest.param(b"%TAG !a! b\n" * 90_000, "FR103", id="tag-directives"),
        pytest.param(b"a: 1\n...\n" + b"%TAG !a! b\n" * 90_000, "FR104", id="directives-behind"),
        pytest.param(b'a: "' + b"x\n " * 300_000, "FR101", id="open-quote"),
        pytest.param(b"a: [" + b"b: c, " * 170_000, "FR108", id="pairs-in-a-list"),
        pytest.param(b"&a " * 300_000, "FR101", id="anchors"),
        pytest.param(b"a: " + b"9" * 1_000_000, "FR114", id="digits"),
        pytest.param(b"\n" * 1_000_000 + b"\x00", "FR107", id="late-control-character"),
        pytest.param(b"x" * (MIB + 1), "FR106", id="too-large"),
    ],
)
def test_hostile_file_is_refused_in_bounded_memory(data: bytes, expected: str) -> None:
    """No file of a megabyte crashes the process, and none takes more than 128 MiB."""
    tracemalloc.start()
    try:
        finding = refused(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert finding.code == expected
    assert len(finding.message) + len(finding.hint) < 300
    assert len(finding.pointer) < 1000
    assert len(finding.excerpt) <= 400
    assert peak < 128 * MIB


@pytest.mark.heavy
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: " + "x" * (MIB - 3), id="one-line"),
        pytest.param("a: |\n" + " x\n" * 300_000, id="one-block"),
        pytest.param("a: 'x" + "\n" * (MIB - 7) + "'", id="line-breaks"),
        pytest.param("# " + "x" * (MIB - 2), id="one-comment"),
        pytest.param("\n".join(f"k{i}:" for i in range(49_000)), id="many-keys"),
    ],
)
def test_large_file_within_the_limits_is_read(text: str) -> None:
    """A megabyte of honest text is read."""
    assert len(text) <= MIB
    assert isinstance(read(text), Document)


def test_depth_of_50_is_read() -> None:
    """Fifty levels are allowed, also when an alias brings some of them."""
    assert read("[" * 50 + "]" * 50).data
    assert read("a: &x " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 9 + "*x" + "]" * 9).data


def test_error_is_a_validation_error_with_one_finding() -> None:
    """The caller finds code, file, pointer, excerpt and the JSON form of the finding."""
    with pytest.raises(ValidationError) as caught:
        read_yaml(b"nodes:\n  - id: a\n    id: b\n", file="x/f.yaml")

    error = caught.value
    assert isinstance(error, YamlError)
    assert error.code == "FR102"
    assert error.findings == (error.finding.to_json(),)
    assert error.finding.file == "x/f.yaml"
    assert error.finding.pointer == "/nodes/0/id"
    assert error.finding.excerpt == "    id: b"
    assert error.message.startswith("x/f.yaml:3:5: ")


def test_message_shows_control_characters_of_a_key_as_escapes() -> None:
    """A key cannot smuggle terminal sequences or line breaks into a message."""
    finding = refused('"\\e[31m\\n": 1\n"\\e[31m\\n": 2')

    assert finding.message.isprintable()
    assert '"\\x1b[31m\\n"' in finding.message


SAMPLE = """\
name: größe 😀  # 1
nodes:
  - id: fetch
    env: {A: 1.10, B: True, C: '1', D: , E: ~}
  - &build
    id: build
    run: |2
        first
       second ${{ x }}

       last
copy: *build
text: 'it is ''so'' ${{ x }}'
path: "a\\tb ${{ x }}"
fold: >
  a
  ${{ x }}
long: plain
  goes on
key: &anchored value
"""


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        pytest.param((), False, (1, 1), id="root"),
        pytest.param(("name",), False, (1, 7), id="value"),
        pytest.param(("nodes",), True, (2, 1), id="key"),
        pytest.param(("nodes", 0), False, (3, 5), id="item"),
        pytest.param(("nodes", 0), True, (3, 5), id="item-as-key"),
        pytest.param(("nodes", 0, "env", "B"), False, (4, 23), id="in-flow-mapping"),
        pytest.param(("nodes", 0, "env", "B"), True, (4, 20), id="key-in-flow-mapping"),
        pytest.param(("nodes", 0, "env", "D"), False, (4, 40), id="nothing"),
        pytest.param(("copy",), False, (12, 7), id="alias"),
        pytest.param(("copy", "id"), False, (6, 9), id="below-alias"),
        pytest.param(("copy", "id"), True, (6, 5), id="key-below-alias"),
        pytest.param(("nodes", 7, "id"), False, (3, 3), id="missing-item"),
        pytest.param(("nodes", 0, "type"), False, (3, 5), id="missing-key"),
        pytest.param(("nodes", 0, "type"), True, (3, 5), id="missing-key-as-key"),
        pytest.param(("nodes", "id"), False, (3, 3), id="name-in-list"),
        pytest.param((0, "id"), True, (1, 1), id="index-in-mapping"),
        pytest.param(("name", "x", 3), False, (1, 7), id="below-a-text"),
    ],
)
def test_position_is_that_of_the_nearest_existing_value(
    path: tuple[str | int, ...],
    key: bool,  # noqa: FBT001 - a column of the table
    expected: tuple[int, int],
) -> None:
    """Values and keys are found by path; a path into nothing ends at what exists."""
    assert read(SAMPLE).position(path, key=key) == Position(*expected)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(("nodes", 0, "env", "A"), "1.10", id="number"),
        pytest.param(("nodes", 0, "env", "B"), "True", id="boolean"),
        pytest.param(("nodes", 0, "env", "C"), None, id="quoted"),
        pytest.param(("nodes", 0, "env", "D"), "", id="nothing"),
        pytest.param(("nodes", 0, "env", "E"), "~", id="null"),
        pytest.param(("name",), None, id="text"),
        pytest.param(("nodes", 0), None, id="mapping"),
        pytest.param(("nodes", 9), None, id="missing"),
    ],
)
def test_source_text_is_that_of_typed_scalars(
    path: tuple[str | int, ...], text: str | None
) -> None:
    """A typed value gives back what was written; texts, collections and nothing give None."""
    assert read(SAMPLE).source_text(path) == text


@pytest.mark.parametrize(
    ("path", "part", "expected"),
    [
        pytest.param(("name",), "😀", (1, 13), id="plain"),
        pytest.param(("nodes", 1, "run"), "first", (8, 9), id="literal-first-line"),
        pytest.param(("nodes", 1, "run"), "${{", (9, 15), id="literal-second-line"),
        pytest.param(("nodes", 1, "run"), "last", (11, 8), id="literal-after-blank-line"),
        pytest.param(("copy", "run"), "${{", (9, 15), id="through-alias"),
        pytest.param(("text",), "is", (13, 11), id="quoted-before-escape"),
        pytest.param(("text",), "'so'", (13, 14), id="quoted-at-escape"),
        pytest.param(("text",), "${{", (13, 7), id="quoted-after-escape"),
        pytest.param(("path",), "\t", (14, 9), id="double-quoted-at-escape"),
        pytest.param(("path",), "${{", (14, 7), id="double-quoted-after-escape"),
        pytest.param(("fold",), "${{", (15, 7), id="folded"),
        pytest.param(("long",), "plain", (18, 7), id="plain-first-line"),
        pytest.param(("long",), "goes", (18, 7), id="plain-second-line"),
        pytest.param(("key",), "value", (20, 6), id="anchored"),
    ],
)
def test_locate_is_exact_or_the_start_of_the_text(
    path: tuple[str | int, ...], part: str, expected: tuple[int, int]
) -> None:
    """An offset into a text is found in the file where lines and escapes allow it."""
    document = read(SAMPLE)
    value = document.data
    for step in path:
        value = value[step]

    assert document.locate(path, value.index(part)) == Position(*expected)


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        pytest.param("a: 'it''s x'", 5, id="single-quote"),
        pytest.param('a: "c:\\\\d x"', 4, id="backslash"),
        pytest.param("a: b- \n c", 3, id="space-before-a-fold"),
    ],
)
def test_locate_is_the_start_when_the_text_is_not_as_written(text: str, offset: int) -> None:
    """An escape that looks like its own value does not shift what follows."""
    assert read(text).locate(("a",), offset) == Position(1, 4)


@pytest.mark.parametrize("offset", [-1, 99], ids=["before", "behind"])
def test_locate_outside_the_text_is_its_start(offset: int) -> None:
    """An offset beyond the text gives the start of the text."""
    assert read("a: |\n  b\n").locate(("a",), offset) == Position(1, 4)


def test_locate_at_the_end_of_a_block_stays_in_the_file() -> None:
    """The end of a block, which may lie on the line of the next key, is a place of the block."""
    assert read("a: |\n  b\nc: d\n").locate(("a",), 2) == Position(1, 4)
    assert read("a: |\n  b").locate(("a",), 1) == Position(2, 4)


def test_locate_of_a_collection_is_its_position() -> None:
    """What is no text has no offsets."""
    assert read("a: [b]").locate(("a",), 3) == Position(1, 4)


def test_finding_puts_everything_together() -> None:
    """A finding has file, position, pointer, excerpt, hint and severity."""
    finding = read("a/b:\n  - x ${{ y }}\n").finding(
        codes.UNKNOWN_NAME,
        "no y",
        path=("a/b", 0),
        offset=6,
        hint="Did you mean x?",
        severity=Severity.WARNING,
    )

    assert finding == Finding(
        file="f.yaml",
        line=2,
        column=11,
        code="FR402",
        severity=Severity.WARNING,
        pointer="/a~1b/0",
        message="no y",
        hint="Did you mean x?",
        excerpt="  - x ${{ y }}",
    )


def test_finding_about_a_key_points_at_the_key() -> None:
    """With `key` the finding stands at the key itself."""
    finding = read("a: 1\nb: 2").finding(codes.UNKNOWN_KEY, "b?", path=("b",), key=True)

    assert place(finding) == ("FR201", 2, 1)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(1, "a: " + "x" * 397, id="cut"),
        pytest.param(2, "b: c", id="whole"),
        pytest.param(0, "", id="before"),
        pytest.param(4, "", id="behind"),
    ],
)
def test_excerpt_is_the_line_cut_at_400(line: int, text: str) -> None:
    """A line is shown as written, long ones cut, missing ones empty."""
    assert read("a: " + "x" * 500 + "\nb: c\n").excerpt(line) == text
