"""Promises of `flowrunner.definitions.compiler`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from flowrunner.definitions.compiler import Candidate, Compiler
from flowrunner.definitions.examine import MAX_FINDINGS, MAX_TEXT, MAX_WARNINGS
from flowrunner.errors import ValidationError
from flowrunner.model.digest import digest_of
from flowrunner.model.expressions import Template, parse_template
from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey, Json
from flowrunner.nodes.builtin.fail import FailNode
from flowrunner.nodes.registry import NodeRegistry
from tests.definitions.examples import GOOD
from tests.fakes.clock import FakeClock
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
HEAD = "version: 1\nname: example\n"
BUILD = "nodes:\n  - id: build\n    run: make\n"


def read(text: str) -> Candidate:
    return COMPILER.read(text.encode(), file="f.yaml", account="default")


def good(text: str) -> FlowSpec:
    candidate = read(text)
    assert candidate.findings == ()
    assert candidate.spec is not None
    return candidate.spec


def codes_of(text: str) -> list[str]:
    return [finding.code for finding in read(text).findings]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(HEAD + "# a comment\n\n" + BUILD, id="comment"),
        pytest.param(BUILD + HEAD, id="order-of-keys"),
        pytest.param(
            'name: "example"\nversion: 1\nnodes: [{"run": make, id: build}]\n', id="style"
        ),
        pytest.param((HEAD + BUILD).replace("\n", "\r\n"), id="line-breaks"),
        pytest.param("\ufeff" + HEAD + BUILD, id="byte-order-mark"),
        pytest.param(HEAD + "nodes:\n  - id: &x build\n    run: |-\n      make\n", id="anchor"),
        pytest.param(
            '{"version": 1, "name": "example", "nodes": [{"id": "build", "run": "make"}]}',
            id="json",
        ),
    ],
)
def test_digest_does_not_depend_on_how_a_file_is_written(text: str) -> None:
    """Comments, order of keys, quotes and line breaks make no new version of a flow."""
    assert good(text).digest == good(HEAD + BUILD).digest


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("version: 1\nname: other\n" + BUILD, id="name"),
        pytest.param(HEAD + "description: x\n" + BUILD, id="description"),
        pytest.param(HEAD + BUILD + "    needs: []\n", id="key-with-the-same-meaning"),
        pytest.param(HEAD + BUILD.replace("make", "make install"), id="script"),
        pytest.param(HEAD + BUILD + "  - id: next\n    run: make\n", id="node"),
        pytest.param(HEAD + "env: {A: 1}\n" + BUILD, id="env"),
    ],
)
def test_digest_depends_on_what_a_file_says(text: str) -> None:
    """Any change of a value is a new version."""
    assert good(text).digest != good(HEAD + BUILD).digest


def test_order_of_lists_is_part_of_the_digest() -> None:
    """Nodes run in order, so that their order is content."""
    nodes = ["  - id: a\n    run: make\n", "  - id: b\n    run: make\n"]

    forth, back = (good(HEAD + "nodes:\n" + "".join(n)).digest for n in (nodes, nodes[::-1]))
    assert forth != back


def test_env_keeps_the_source_text_of_scalars() -> None:
    """A version `1.10` reaches a program as it is written; null removes a variable."""
    env = "{A: 1.10, B: True, C: null, D: ~, E: 1e3, F: +5, G: '0.50', H: 0x1f, I: }"
    spec = good(HEAD + f"env: {env}\nnodes:\n  - id: build\n    run: make\n    env: {env}\n")

    expected = {"A": "1.10", "B": "True", "C": None, "D": None, "E": "1e3", "F": "+5"}
    expected |= {"G": "0.50", "H": "0x1f", "I": None}
    assert spec.env == expected
    assert spec.nodes[0].env == expected


def test_env_behind_an_alias_keeps_its_source_text() -> None:
    """An alias for a value or for all of `env` gives the text of its anchor."""
    spec = good(
        HEAD + "env: &all {A: &a 1.10}\nnodes:\n"
        "  - {id: x, run: make, env: *all}\n  - {id: y, run: make, env: {B: *a}}\n"
    )

    assert spec.nodes[0].env == {"A": "1.10"}
    assert spec.nodes[1].env == {"B": "1.10"}


def test_env_text_is_part_of_the_digest() -> None:
    """`1.10` and `1.1` are the same number but not the same text."""
    assert good(HEAD + "env: {A: 1.10}\n" + BUILD) != good(HEAD + "env: {A: 1.1}\n" + BUILD)
    assert good(HEAD + "env: {A: '1.10'}\n" + BUILD) == good(HEAD + "env: {A: 1.10}\n" + BUILD)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_kept_definition_compiles_to_an_equal_flow(path: Path) -> None:
    """A definition kept as JSON gives the very flow that its file gave, with the same digest."""
    candidate = COMPILER.read(path.read_bytes(), file=path.name, account="team")
    assert candidate.spec is not None
    assert candidate.definition is not None

    kept: Mapping[str, Json] = json.loads(json.dumps(candidate.definition))
    again = builtin_compiler().compile_definition(candidate.spec.key, kept)

    assert again == candidate.spec
    assert again.digest == digest_of(kept)
    assert again.key == FlowKey("team", str(candidate.name))


def test_compiling_again_gives_an_equal_flow() -> None:
    """Compiling is a function of the bytes: parsed texts that are kept show nowhere."""
    text = HEAD + BUILD + "    if: vars.a == 1\nvars: {a: 1}\n"

    assert good(text) == good(text)


def test_kept_definition_of_an_unknown_type_is_refused() -> None:
    """A node type that this host does not have is an error with its name, not a crash."""
    definition = {"version": 1, "name": "x", "nodes": [{"id": "a", "type": "acme.call"}]}

    with pytest.raises(ValidationError) as caught:
        COMPILER.compile_definition(FlowKey("default", "x"), definition)
    assert caught.value.code == "node.unknown"
    assert "acme.call" in caught.value.message


def test_schema_follows_the_node_types_of_the_host() -> None:
    """Without a node type its word is unknown, with the same code as any other."""
    nodes = NodeRegistry()
    nodes.register("fail", FailNode)
    candidate = Compiler(nodes, FakeClock()).read(
        (HEAD + "nodes:\n  - id: a\n    type: noop\n").encode(), file="f", account="default"
    )

    assert [finding.code for finding in candidate.findings] == ["FR305"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(HEAD + "nodes: []\n", "example", id="no-nodes"),
        pytest.param(HEAD + "typo: 1\n" + BUILD, "example", id="unknown-key"),
        pytest.param("name: example\nversion: 9\n" + BUILD, "example", id="other-version"),
        pytest.param("name: Example\nversion: 1\n" + BUILD, None, id="malformed"),
        pytest.param("name: [example]\nversion: 1\n" + BUILD, None, id="list"),
        pytest.param('name: "example\\n"\nversion: 1\n' + BUILD, None, id="line-break"),
        pytest.param("name: " + "x" * 64 + "\nversion: 1\n" + BUILD, None, id="too-long"),
        pytest.param("name: 5\nversion: 1\n" + BUILD, None, id="number"),
        pytest.param("version: 1\n" + BUILD, None, id="missing"),
        pytest.param(HEAD + "name: twice\n" + BUILD, None, id="not-readable"),
        pytest.param("name: ci\njobs: {}\n", None, id="foreign"),
    ],
)
def test_name_is_kept_as_far_as_it_can_be_read(text: str, name: str | None) -> None:
    """A broken file still stands for its flow, so that its last good version stays."""
    candidate = read(text)

    assert candidate.name == name
    assert candidate.spec is None
    assert candidate.findings


def test_warning_alone_lets_the_flow_in() -> None:
    """A warning is told and the flow compiles."""
    candidate = read(HEAD + "triggers: [{type: schedule, cron: 0 2 * * *}]\n" + BUILD)

    assert [(finding.code, finding.is_error) for finding in candidate.findings] == [
        ("FR501", False)
    ]
    assert candidate.spec is not None


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("version: 2\nname: example\n", id="version"),
        pytest.param("version: 1\nname: Example\n", id="malformed-name"),
        pytest.param("version: 1\nname: 5\n", id="number-for-name"),
        pytest.param("version: 1\n", id="no-name"),
        pytest.param(HEAD + "typo: 1\n", id="unknown-key"),
        pytest.param(HEAD + "notify: 5\n", id="number-for-rules"),
        pytest.param(HEAD + "notify: [oncall]\n", id="text-for-rule"),
        pytest.param(
            HEAD + "notify: [{on: [late], channels: [a], window: 1h}]\n", id="text-for-window"
        ),
        pytest.param(HEAD + "description: [a]\n", id="list-for-text"),
        pytest.param(HEAD + "labels: 5\n", id="number-for-map"),
        pytest.param(HEAD + "inputs: {a: text}\n", id="text-for-input"),
        pytest.param(HEAD + "secrets: {a: 1}\n", id="map-for-list"),
        pytest.param(HEAD + "secrets: [1]\n", id="number-in-list"),
        pytest.param(HEAD + "concurrency: skip\n", id="text-for-map"),
        pytest.param(HEAD + "concurrency: {limit: many}\n", id="text-for-number"),
        pytest.param(HEAD + "concurrency: {on_conflict: cancel}\n", id="unknown-word"),
        pytest.param(HEAD + "triggers: schedule\n", id="text-for-triggers"),
        pytest.param(HEAD + "triggers: [nightly]\n", id="text-for-trigger"),
        pytest.param(HEAD + "triggers: [{cron: '@daily'}]\n", id="trigger-without-type"),
        pytest.param(HEAD + "triggers: [{type: mail}]\n", id="unknown-trigger"),
        pytest.param(HEAD + "triggers: [{type: schedule, every: 15}]\n", id="bare-number"),
        pytest.param(HEAD + "triggers: [{type: schedule, cron: [1]}]\n", id="list-for-cron"),
        pytest.param(HEAD + "triggers: [{type: webhook}]\n", id="webhook-without-auth"),
        pytest.param(HEAD + "triggers: [{type: webhook, auth: {}}]\n", id="empty-auth"),
        pytest.param(HEAD + "triggers: [{type: webhook, auth: {type: ldap}}]\n", id="unknown-auth"),
    ],
)
def test_rest_of_a_flow_is_checked_beside_what_does_not_fit(broken: str) -> None:
    """One key that does not fit the schema hides nothing of what is wrong elsewhere."""
    rest = "nodes:\n  - id: build\n    run: make\n    needs: [nope]\n    if: vars.nope\n"
    alone = [finding for finding in read(broken + BUILD).findings if finding.is_error]
    both = [finding for finding in read(broken + rest).findings if finding.is_error]

    assert len(alone) == 1
    assert [finding.code for finding in both] == [alone[0].code, "FR302", "FR402"]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("{id: x}", id="no-type"),
        pytest.param("{id: x, type: http, params: {url: y}}", id="planned-type"),
        pytest.param("{id: x, type: [exec]}", id="list-for-type"),
        pytest.param("{id: x, type: exec}", id="no-params"),
        pytest.param("{id: x, type: exec, params: [ls]}", id="list-for-params"),
        pytest.param("{id: x, type: exec, params: {argv: ls}}", id="text-for-argv"),
        pytest.param("{id: x, type: exec, params: {argv: [{a: b}]}}", id="map-in-argv"),
        pytest.param("{id: x, type: set, params: {values: 1}}", id="number-for-values"),
        pytest.param("{id: x, run: [make]}", id="list-for-run"),
        pytest.param("{id: X, run: make}", id="malformed-id"),
        pytest.param("{id: 5, run: make}", id="number-for-id"),
        pytest.param("{run: make}", id="no-id"),
        pytest.param("make", id="text-for-node"),
        pytest.param("{id: x, run: make, needs: {a: b}}", id="map-for-needs"),
        pytest.param("{id: x, run: make, timeout: 5}", id="bare-number"),
        pytest.param("{id: x, run: make, retry: 3}", id="number-for-retry"),
        pytest.param("{id: x, run: make, env: [A]}", id="list-for-env"),
        pytest.param("{id: x, run: make, outputs: [a]}", id="list-for-outputs"),
        pytest.param("{id: x, run: make, if: 5}", id="number-for-if"),
    ],
)
def test_other_nodes_are_checked_beside_one_that_does_not_fit(broken: str) -> None:
    """A node that does not fit the schema hides nothing of the others."""
    rest = "  - {id: build, run: make, needs: [nope], if: vars.nope}\n"
    (alone,) = read(HEAD + f"nodes:\n  - {broken}\n").findings
    findings = read(HEAD + f"nodes:\n  - {broken}\n{rest}").findings

    assert findings[0] == alone
    assert [finding.code for finding in findings[1:]] == ["FR302", "FR402"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            HEAD + "inputs: {n: {type: int}}\n"
            "triggers: [{type: schedule, every: 1h, inputs: {n: 5}}]\n" + BUILD,
            id="value-for-an-input-of-unknown-type",
        ),
        pytest.param(
            HEAD + "nodes:\n  - {id: fetch, type: http}\n"
            "  - {id: x, run: make, if: nodes.fetch.outputs.status == 200}\n",
            id="output-of-a-node-of-unknown-type",
        ),
        pytest.param(
            HEAD + "nodes:\n  - {id: fetch, run: make, output: {rows: {}}}\n"
            "  - {id: x, run: make, if: nodes.fetch.outputs.rows == 200}\n",
            id="output-under-a-misspelt-key",
        ),
        pytest.param(
            HEAD + "secret: [TOKEN]\nnodes:\n"
            "  - {id: x, run: make, env: {T: '${{ secrets.TOKEN }}'}}\n",
            id="secret-under-a-misspelt-key",
        ),
        pytest.param(
            HEAD + "vars: [a]\nnodes:\n  - {id: x, run: make, if: vars.a}\n",
            id="vars-that-are-a-list",
        ),
        pytest.param(
            HEAD + "triggers: [{type: schedule, cron: 0 2 * * *, timezone: 5}]\n" + BUILD,
            id="zone-that-is-a-number",
        ),
        pytest.param(
            HEAD + "triggers: [{id: 1, type: schedule, every: 1h}, {id: b, type: schedule, "
            "every: 2h}]\n" + BUILD,
            id="id-that-is-a-number",
        ),
        pytest.param(
            HEAD + "nodes:\n  - {id: a, run: make}\n  - {id: b, run: make, needs: []}\n"
            "  - {id: c, run: make, needs: a, if: nodes.a.exit_code == 0}\n",
            id="need-that-is-no-list",
        ),
        pytest.param(
            HEAD + "env: &e {A: b, C: [d]}\nnodes:\n  - {id: a, type: set, params: {values: {x: "
            "*e}}}\n",
            id="alias-of-what-does-not-fit",
        ),
    ],
)
def test_what_does_not_fit_has_no_second_finding(text: str) -> None:
    """A mistake is told once, not again wherever its value would have been needed."""
    assert len(read(text).findings) == 1


def test_mistake_behind_an_anchor_is_told_once() -> None:
    """Not again for each alias, which would say the same of the same place."""
    text = """\
version: 1
name: f
nodes:
  - {id: a, run: x, env: &env {A: "${{ flow.nme }}", B: "${{ flow.nme }}"}}
  - {id: b, run: x, env: *env}
  - {id: c, run: x, env: *env}
"""
    assert [(f.line, f.column, f.pointer) for f in read(text).findings] == [
        (4, 40, "/nodes/0/env/A"),
        (4, 62, "/nodes/0/env/B"),
    ]


@pytest.mark.heavy
def test_findings_are_bounded_and_an_error_is_never_lost() -> None:
    """A file of 1,000 warnings and 10,000 errors is refused, with a bounded number of findings."""
    triggers = "".join(f"  - {{id: t{n}, type: schedule, cron: 0 2 * * *}}\n" for n in range(1_000))
    nodes = "".join(f"  - {{id: n{n}, run: make, needs: [x]}}\n" for n in range(10_000))
    candidate = read(HEAD + "triggers:\n" + triggers + "nodes:\n" + nodes)

    assert len(candidate.findings) == MAX_FINDINGS
    assert any(finding.is_error for finding in candidate.findings)
    assert candidate.spec is None


def test_last_error_behind_all_warnings_is_told() -> None:
    """As many warnings as a file can have do not hide a single error behind them."""
    triggers = "".join(f"  - {{id: t{n}, type: schedule, cron: 0 2 * * *}}\n" for n in range(1_000))
    candidate = read(HEAD + "triggers:\n" + triggers + BUILD + "    if: nope\n")

    assert [finding.code for finding in candidate.findings] == ["FR501"] * 1_000 + ["FR402"]


def test_error_behind_any_number_of_warnings_is_told() -> None:
    """Warnings have a bound of their own: 3,000 nodes that never run do not hide an error."""
    nodes = "".join(f"  - {{id: n{n}, run: make, if: false}}\n" for n in range(3_000))
    candidate = read(HEAD + "triggers: [{type: schedule, cron: 0 2 31 2 *}]\nnodes:\n" + nodes)

    told = [finding.code for finding in candidate.findings]
    assert told == ["FR306"] + ["FR502"] * MAX_WARNINGS
    assert candidate.spec is None


def test_texts_of_findings_are_short_and_on_one_line() -> None:
    """What a file holds can neither flood nor break the lines of a report."""
    long, odd = "x" * 5_000, "a\\nb\\u0007"
    text = f'{HEAD}{BUILD}    needs: ["{long}", "{odd}"]\n    if: vars[\'a\nb\']\n'
    findings = read(text.replace("if: vars['a\nb']", "if: \"vars['a\\nb']\"")).findings

    assert [finding.code for finding in findings] == ["FR302", "FR302", "FR402"]
    assert max(len(finding.message) for finding in findings) == MAX_TEXT
    assert all(finding.message.isprintable() for finding in findings)


@pytest.mark.heavy
def test_ten_thousand_nodes_that_look_back_compile() -> None:
    """Checks are linear in the graph: a long chain that reads its beginning is no burden."""
    nodes = "".join(
        f"  - {{id: n{n}, run: make, if: nodes.n0.exit_code == 0}}\n" for n in range(1, 10_000)
    )
    spec = good(HEAD + "nodes:\n  - {id: n0, run: make}\n" + nodes)

    assert len(spec.nodes) == 10_000


def test_unclosed_wrapper_before_many_spaces_is_a_finding() -> None:
    """The search for an expression in a script is linear, however it is written."""
    text = HEAD + "nodes:\n  - id: build\n    run: '${{" + " " * 100_000 + "'\n"

    assert codes_of(text) == ["FR405"]


def test_numbers_that_json_schema_calls_integers_are_integers() -> None:
    """`3.0` is an integer for JSON Schema, so it is one for the engine."""
    spec = good(
        HEAD
        + "concurrency: {limit: 2.0, queue_limit: 5.0}\n"
        + BUILD
        + "    retry: {max_attempts: 3.0}\n"
    )

    numbers = (
        spec.concurrency.limit,
        spec.concurrency.queue_limit,
        spec.nodes[0].retry.max_attempts,
    )
    assert numbers == (2, 5, 3)
    assert {type(number) for number in numbers} == {int}


def test_escaped_expression_is_text() -> None:
    """`$${{` gives the text `${{` where expressions are taken, and stays as it is in scripts."""
    spec = good(
        HEAD + "nodes:\n  - id: build\n    run: echo $${{ x }}\n    env: {PATH: '$${{ x }}'}\n"
    )

    assert spec.nodes[0].params == {"script": "echo $${{ x }}"}
    path = spec.nodes[0].env["PATH"]
    assert isinstance(path, Template)
    assert path == parse_template("$${{ x }}")
    assert path.is_literal
