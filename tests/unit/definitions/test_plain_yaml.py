"""Which documents are read at a glance, and that flows with like lines do not meddle."""

from __future__ import annotations

import copy

import pytest

from benchmarks.flow_files import flow_text
from flowrunner.definitions.plain_yaml import plain_document
from flowrunner.definitions.source import Source
from flowrunner.definitions.yaml_reader import parse_yaml, read_yaml
from tests.fakes.nodes import builtin_compiler

NESTED = "".join(f"{'  ' * depth}k:\n" for depth in range(40)) + "  " * 40 + "k: v\n"


@pytest.mark.parametrize("number", range(8))
def test_flows_are_read_at_a_glance(number: int) -> None:
    """A flow as people write them needs no parser, which takes about twice as long."""
    plain = plain_document(Source(flow_text(number), file="plain.yaml"))

    assert plain is not None
    assert plain.data == parse_yaml(flow_text(number).encode(), file="f").data


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("# only a comment\n", id="comment"),
        pytest.param("a: b", id="no-line-break-at-the-end"),
        pytest.param("a:\tb\n", id="tab"),
        pytest.param("a: b\r\n", id="carriage-return"),
        pytest.param("- a\n", id="list"),
        pytest.param("a: b\na: c\n", id="key-twice"),
        pytest.param('a: "b\\n"\n', id="escape"),
        pytest.param("a: &x b\nc: *x\n", id="alias"),
        pytest.param("a: !!str 1\n", id="tag"),
        pytest.param("a: b\n  c\n", id="text-of-two-lines"),
        pytest.param("a: 99999999999999999999\n", id="number-too-large"),
        pytest.param("a: b\n---\nc: d\n", id="second-document"),
        pytest.param("a: b c\n" + "#" * 65_536 + "\n", id="long"),
        pytest.param(NESTED, id="deep"),
        pytest.param(f"a: {'{b: ' * 40}c{'}' * 40}\n", id="deep-mappings-in-brackets"),
        pytest.param(f"a: {'[' * 40}c{']' * 40}\n", id="deep-lists-in-brackets"),
        pytest.param(f"- {'[' * 40}c{']' * 40}\n", id="deep-list-in-a-list"),
    ],
)
def test_all_else_is_left_to_the_parser(text: str) -> None:
    """What is not plain is not refused: the parser has the last word."""
    assert plain_document(Source(text, file="plain.yaml")) is None


def test_flows_with_like_lines_do_not_meddle() -> None:
    """What is said of a bad flow changes nothing in another one with the same lines."""
    text = "version: 1\nname: a\nnodes:\n  - {id: b, rum: make, timeout: 3 days}\n"
    before = copy.deepcopy(read_yaml(text.encode(), file="f").data)
    compiler = builtin_compiler()
    first = compiler.read(text.encode(), file="f", account="default")

    assert first.findings
    assert read_yaml(text.encode(), file="f").data == before
    assert compiler.read(text.encode(), file="f", account="default").findings == first.findings
