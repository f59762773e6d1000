"""The compiler on definitions that were good until somebody edited them."""

from __future__ import annotations

import json
import re

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.definitions.schema_parts import FLOW_NAME
from flowrunner.model.digest import digest_of
from flowrunner.model.ids import FlowKey, Json
from tests.definitions.mutations import defaults_mutants, json_with_twins, mutants
from tests.fakes.nodes import builtin_compiler
from tests.profile import examples

COMPILER = builtin_compiler()


def compiled(text: str) -> Candidate:
    """Compiles a text and checks what holds for every candidate."""
    candidate = COMPILER.read(text.encode(), file="f.yaml", account="default")
    has_errors = any(finding.is_error for finding in candidate.findings)
    assert (candidate.spec is None) == (candidate.definition is None) == has_errors
    assert list(candidate.findings) == sorted(set(candidate.findings))
    lines = re.split(r"\r\n|\r|\n", text)
    for finding in candidate.findings:
        assert 1 <= finding.line <= len(lines)
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        for said in (finding.message, finding.hint):
            assert said.isprintable()
            assert len(said) <= 400
    if candidate.spec is not None and candidate.definition is not None:
        assert candidate.spec.digest == digest_of(candidate.definition)
        assert candidate.spec.key == ("default", candidate.name)
        kept = json.loads(json.dumps(candidate.definition))
        assert COMPILER.compile_definition(candidate.spec.key, kept) == candidate.spec
    return candidate


@settings(max_examples=examples(150))
@given(mutants())
def test_any_json_is_a_candidate(data: Json) -> None:
    """Whatever was edited, a JSON file gives a candidate, with its name if that can be read."""
    candidate = compiled(json.dumps(data, ensure_ascii=False))

    if not any(finding.code.startswith("FR1") for finding in candidate.findings):
        name = data.get("name")
        is_name = isinstance(name, str) and re.fullmatch(FLOW_NAME, name)
        assert candidate.name == (name if is_name else None)


@settings(max_examples=examples(200))
@given(mutants(), st.sampled_from([None, True, False]), st.sampled_from([None, '"', "|"]))
def test_any_yaml_is_a_candidate(data: Json, flow: bool | None, style: str | None) -> None:  # noqa: FBT001 - drawn by Hypothesis
    """Whatever was edited and however it is written, a YAML file gives a candidate."""
    text = yaml.safe_dump(data, default_flow_style=flow, default_style=style, allow_unicode=True)

    compiled(text)


@settings(max_examples=examples(200))
@given(mutants(), st.data())
def test_keys_that_stand_twice_are_a_finding(data: Json, drawn: st.DataObject) -> None:
    """A key that stands twice, anywhere, is the one finding of its file."""
    told: list[bool] = []

    def twice() -> bool:
        told.append(drawn.draw(st.booleans()) if len(told) < 20 else False)
        return told[-1]

    candidate = compiled(json_with_twins(data, twice))
    if any(told):
        (finding,) = candidate.findings
        assert finding.code.startswith("FR1")


@given(mutants())
def test_stored_definition_compiles_for_another_key_too(data: Json) -> None:
    """What was compiled once compiles again wherever it is kept, under the key it is given."""
    candidate = compiled(json.dumps(data, ensure_ascii=False))
    if candidate.definition is not None:
        spec = COMPILER.compile_definition(FlowKey("other", "name"), candidate.definition)

        assert spec.key == FlowKey("other", "name")
        assert spec.digest == digest_of(candidate.definition)


@settings(max_examples=examples(200))
@given(defaults_mutants(), mutants())
def test_any_defaults_above_any_flow_are_judged(above: Json, data: Json) -> None:
    """Whatever both hold, there is a verdict: a flow below broken defaults is never admitted."""
    text = json.dumps(above, ensure_ascii=False)
    defaults = COMPILER.read_defaults(text.encode(), file="_defaults.yaml")
    flow = json.dumps(data, ensure_ascii=False).encode()
    alone = COMPILER.read(flow, file="f.yaml", account="default")
    below = COMPILER.read(flow, file="f.yaml", account="default", layers=Layers((defaults,)))

    assert {finding.file for finding in below.findings} <= {"_defaults.yaml", "f.yaml"}
    assert below.name == alone.name
    if defaults.is_broken:
        assert below.spec is None
    elif below.spec is not None and below.definition is not None:
        kept = json.loads(json.dumps(below.definition))
        assert COMPILER.compile_definition(below.spec.key, kept) == below.spec
