"""Texts with expressions are parsed once, and are then what they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.flow_files import flow_text
from flowrunner.definitions.checks.texts import FEW_TEXTS, Texts
from flowrunner.definitions.compiler import Compiler
from flowrunner.model.expressions import (
    ALWAYS,
    EITHER,
    NEVER,
    ExpressionSyntaxError,
    Outlook,
    calls,
    references,
)
from tests.definitions.examples import BAD, GOOD
from tests.fakes.clock import FakeClock
from tests.fakes.nodes import builtin_nodes


@pytest.mark.parametrize("kept", [1, FEW_TEXTS])
def test_what_is_kept_changes_nothing(kept: int) -> None:
    """A compiler that keeps one text or many finds in every file what one finds that keeps none."""
    files = [path.read_bytes() for path in map(Path, (*GOOD, *BAD))]
    files += [flow_text(number).encode() for number in range(20)]
    keeping, fresh = (Compiler(builtin_nodes(), FakeClock(), count) for count in (kept, 0))
    for data in (*files, *reversed(files)):
        assert keeping.draft(data, file="f.yaml") == fresh.draft(data, file="f.yaml")


def test_uses_are_those_of_the_expressions() -> None:
    """Each expression of a text comes with its references and calls of status functions."""
    text = "${{ inputs.a }} and ${{ nodes.b.state == 'x' && failure() && length(vars.c) }}"
    template, uses = Texts().parsed(text, is_bare=False)
    assert [each.expression for each in uses] == list(template.expressions)
    assert [each.references for each in uses] == [references(e) for e in template.expressions]
    assert [name for name, _ in uses[1].status_calls] == ["failure"]
    assert len(calls(template.expressions[1])) == 2


@pytest.mark.parametrize(
    ("text", "outlook"),
    [("1 == 1", ALWAYS), ("false", NEVER), ("inputs.a", EITHER), ("failure()", EITHER)],
)
def test_outlook_supposes_nothing(text: str, outlook: Outlook) -> None:
    """Constants are certain, data and nodes are not, the second time as the first."""
    texts = Texts()
    assert [texts.outlook(text), texts.outlook(text)] == [outlook, outlook]


def test_malformed_text_is_refused_each_time() -> None:
    """An error is not kept in the place of a tree."""
    texts = Texts()
    for _ in range(2):
        with pytest.raises(ExpressionSyntaxError):
            texts.parsed("a ==", is_bare=True)
        with pytest.raises(ExpressionSyntaxError):
            texts.outlook("a ==")


def test_use_that_is_good_elsewhere_is_judged_where_it_stands() -> None:
    """One name is right in one place and wrong in another: the place decides each time."""
    text = """\
version: 1
name: x
secrets: [TOKEN]
triggers:
  - {type: webhook, auth: {type: none}, if: execution.id == 'a' && execution.slot_at == 'b'}
nodes:
  - {id: first, run: x, outputs: {rows: {}}, env: {A: "${{ secrets.TOKEN }}"}}
  - {id: good, run: x, env: {A: "${{ nodes.first.outputs.rows }}${{ execution.id }}"}}
  - {id: bad, needs: [], run: x, env: {A: "${{ nodes.first.outputs.rows }}"}}
  - {id: told, type: log, params: {message: "${{ secrets.TOKEN }}${{ nodes.good.state }}"}}
"""
    candidate = Compiler(builtin_nodes(), FakeClock()).read(
        text.encode(), file="f.yaml", account="a"
    )
    errors = [(found.code, found.pointer) for found in candidate.findings if found.is_error]
    assert [pointer for _, pointer in errors] == [
        "/triggers/0/if",
        "/nodes/2/env/A",
        "/nodes/3/params/message",
        "/nodes/3/params/message",
    ]
