"""Documents that are read at a glance are those that the parser reads, with all their places."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.flow_files import flow_text
from flowrunner.definitions.braced import braced_texts
from flowrunner.definitions.document import Path
from flowrunner.definitions.plain_yaml import plain_document
from flowrunner.definitions.source import Source
from flowrunner.definitions.yaml_reader import parse_yaml
from flowrunner.model.ids import Json
from tests.definitions.examples import BAD, GOOD
from tests.profile import examples

TEXTS = [path.read_text(encoding="utf-8", errors="replace") for path in (*GOOD, *BAD)]
TEXTS += [flow_text(number) for number in range(20)]
SHORT = [text for text in TEXTS if len(text) < 5_000]

LINES = """
a:|b: v|c: 1.10|d: ~|e: null|on: yes|f-g: -1|h: -|i: - a|a : b|a:b|a: b: c|a: b:|a::|a: ::|a: :b
a: x  |a: b # c|a: #b|a: a#b|a: a #b|a: é ü|a: "q"|a: 'q''s'|a: ""|a: ''|a: "a\\n"|a: 'b' c|a: "b"#c
a: [a, b]|a: [ a , b ] # c|a: [a,b]|a: []|a: {}|a: {b: c}|a: { b: c }|a: {b: c}x|a: {b: c, b: d}
a: {b: [1, {c: 2}]}|a: {b: http://x}|a: {b: 12:30}|a: {b: $x, c: (d)}|a: [-1, -a, - b]|a: [a, ]
a: {b: }|a: [a:b]|a: {b: 'x, y'}|a: {"b": c}|a: [~, null, 1e3]|a: [a b, c  d]|a: {b: c:}|a: [a
a: 99999999999999999999|a: *b|a: &b c|a: !b c|<<: a|? a|a: \\|a: x: |a: `x`|a: @x|a: %x|a: ,x
- x|- a: 1|- a: b|- |-|- 'x'|- [a]|- {a: b}|- - a|- -1|- --- a|- |-|- >|- # c|- a:|-a: 1
a: >|a: >-|a: >+|a: >2|text|more text|# c|#c|---|...|%YAML 1.2|    |
a: x{y|a: "${{ b }}"|- "{a}"|a: {b: "{", c: ["{d}", e]}|- {a: [x, '{']}|- b: ${{ c }}
""".replace("\n", "|").split("|")
LINES += [f"{key}: {header}" for key in "ab" for header in ("|", "|-", "|+", "| # c", "|2", "|x")]
SIGNS = "ab:#-?{}[]'\"|>&*! ,.0~$%@`\\=<é1_/+^(;"


def test_what_is_read_at_a_glance_is_what_the_parser_reads() -> None:
    """The flows of people are read at a glance, and nothing of them reads differently."""
    assert sum(map(agrees, TEXTS)) > len(TEXTS) / 2


@given(st.randoms(use_true_random=False))
@settings(max_examples=examples(300))
def test_lines_in_any_order_read_alike(drawn: random.Random) -> None:
    """However lines follow each other: a glance reads what the parser reads, or nothing."""
    agrees("".join(f"{line}\n" for line in _lines(drawn)))


@given(st.sampled_from(SHORT), st.randoms(use_true_random=False))
@settings(max_examples=examples(200))
def test_edited_flows_read_alike(text: str, drawn: random.Random) -> None:
    """Likewise with a flow in which something was added, left out or moved."""
    for _ in range(drawn.randint(1, 3)):
        at = drawn.randrange(len(text))
        sign = drawn.choice(SIGNS + "\n\n  ")
        lines = text.split("\n")
        moved = lines.pop(drawn.randrange(len(lines)))
        lines.insert(drawn.randrange(len(lines) + 1), moved)
        choices = [text[:at] + sign + text[at:], text[:at] + text[at + 1 :], "\n".join(lines)]
        text = drawn.choice(choices) or "\n"
    agrees(text)


@pytest.mark.parametrize("line", LINES)
def test_single_lines_read_alike(line: str) -> None:
    """A line in a mapping, in a list, and below a key that waits for something."""
    for text in (f"{line}\n", f"k:\n  {line}\n", f"k:\n- {line}\n", f"k: v\n{line}\n  x\n"):
        agrees(text)


def agrees(text: str) -> bool:
    """Compares the two; whether there was something to compare."""
    plain = plain_document(Source(text, file="plain.yaml"))
    if plain is None or Source(text, file="f").find_forbidden() is not None:
        return False
    document = parse_yaml(text.encode(), file="f")
    assert repr(plain.data) == repr(document.data)
    assert plain.braced == braced_texts(plain.data)
    for path in _paths(document.data):
        position = plain.position(path)
        assert position is None or position == document.position(path), path
    return True


def _paths(value: Json, path: Path = ()) -> Iterator[Path]:
    """Yields every path there is, and some that there are not."""
    yield from (path, (*path, "none"), (*path, 7))
    items = enumerate(value) if isinstance(value, list) else ()
    for part, item in value.items() if isinstance(value, dict) else items:
        yield from _paths(item, (*path, part))


def _lines(drawn: random.Random) -> Iterator[str]:
    indent = 0
    for number in range(drawn.randint(1, 7)):
        line = drawn.choice(LINES) if drawn.random() < 0.6 else _made(drawn)
        if drawn.random() < 0.8:  # else most keys stand there twice
            line = re.sub(r"^(- )?([a-z])(?=[a-z-]*:)", rf"\g<1>\g<2>{number}", line)
        yield " " * indent + line
        indent = max(0, indent + drawn.choice((-4, -2, -1, 0, 0, 0, 1, 2, 2, 2, 4)))


def _made(drawn: random.Random) -> str:
    value, other = ("".join(drawn.choices(SIGNS, k=drawn.randint(0, 6))) for _ in range(2))
    forms = (
        f"a: {value}",
        f"- {value}",
        f"a: [{value}, {other}]",
        f"a: {{b: {value}, c: {other}}}",
    )
    return drawn.choice(forms)
