"""Flows below a `_defaults.yaml`: what they have from it, what wins, where mistakes are told."""

from __future__ import annotations

import pytest

from flowrunner.definitions.compiler import Candidate
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.model.expressions import parse_template
from flowrunner.model.flow import FlowSpec, RetrySpec
from tests.fakes.nodes import builtin_compiler

COMPILER = builtin_compiler()
FLOW = "version: 1\nname: example\n"
BUILD = "nodes:\n  - id: build\n    run: make\n"


def layers(*texts: str) -> Layers:
    """Defaults one below the other: of the root, of the folder a, of the folder a/a."""
    return Layers(
        tuple(
            COMPILER.read_defaults(text.encode(), file=f"{'a/' * depth}_defaults.yaml")
            for depth, text in enumerate(texts)
        )
    )


def read(text: str, *above: str) -> Candidate:
    file = f"{'a/' * (len(above) - 1)}f.yaml"
    return COMPILER.read(text.encode(), file=file, account="default", layers=layers(*above))


def spec_of(text: str, *above: str) -> FlowSpec:
    candidate = read(FLOW + text, *above)
    assert candidate.findings == ()
    assert candidate.spec is not None
    return candidate.spec


def test_flow_has_what_its_folder_supplies() -> None:
    """Environment, labels and defaults of nodes come into a flow that says nothing of them."""
    spec = spec_of(
        BUILD,
        "env: {LANG: C}\nlabels: {team: data}\ndefaults: {timeout: 5m, retry: {max_attempts: 2}}\n",
    )
    assert spec.env == {"LANG": "C"}
    assert spec.labels == {"team": "data"}
    assert spec.nodes[0].timeout_s == 300
    assert spec.nodes[0].retry == RetrySpec(max_attempts=2, delay_s=1)


def test_nearest_wins_key_by_key() -> None:
    """The flow before its folder, the folder before the one above; the others stay."""
    outer = "env: {A: root, B: root, C: root}\nlabels: {x: root, y: root, z: root}\n"
    outer += "defaults: {timeout: 1m, kill_after: 1s, retry: {max_attempts: 9, delay: 9s}}\n"
    inner = "env: {B: folder, C: folder}\nlabels: {y: folder, z: folder}\n"
    inner += "defaults: {kill_after: 2s, retry: {delay: 2s}}\n"
    own = "env: {C: own}\nlabels: {z: own}\ndefaults: {retry: {max_attempts: 3}}\n"
    spec = spec_of(own + BUILD, outer, inner)

    assert spec.env == {"A": "root", "B": "folder", "C": "own"}
    assert spec.labels == {"x": "root", "y": "folder", "z": "own"}
    (node,) = spec.nodes
    assert (node.timeout_s, node.kill_after_s) == (60, 2)
    assert node.retry == RetrySpec(max_attempts=3, delay_s=2)


def test_null_removes_a_variable_of_the_folder() -> None:
    """As `null` in the `env` of a node does for one of the flow."""
    assert spec_of("env: {A: null}\n" + BUILD, "env: {A: x, B: y}\n").env == {"A": None, "B": "y"}


def test_scalars_of_the_folder_keep_their_source_text() -> None:
    """A number in `env` is the text in which it was written, wherever that is."""
    env = spec_of(BUILD, "env: {A: 1.50, B: True, C: 007}\n").env
    assert env == {"A": "1.50", "B": "True", "C": "007"}


def test_variable_of_the_folder_is_known_to_expressions() -> None:
    """A literal that a flow has from its folder is `env.X` like one of its own."""
    text = BUILD + "    env: {B: '${{ env.A }}'}\n"
    assert spec_of(text, "env: {A: x}\n").nodes[0].env == {"B": parse_template("${{ env.A }}")}
    (finding,) = read(FLOW + text, "env: {C: x}\n").findings
    assert finding.code == "FR402"


def test_name_that_a_flow_lacks_is_told_where_the_expression_stands() -> None:
    """The finding points into the defaults and names the flow for which they are wrong."""
    above = "env:\n  LANG: C\n  DAY: ${{ inputs.day }}\n"
    candidate = read(FLOW + BUILD, above)

    (finding,) = candidate.findings
    assert (finding.code, finding.file) == ("FR402", "_defaults.yaml")
    assert (finding.line, finding.column) == (3, 12)
    assert finding.message == "there is no inputs.day, for the flow 'example'"
    assert finding.excerpt == "  DAY: ${{ inputs.day }}"
    assert candidate.spec is None
    assert spec_of("inputs: {day: {default: x}}\n" + BUILD, above).env["LANG"] == "C"


def test_secret_that_a_flow_does_not_list_is_told_where_it_is_used() -> None:
    """Least privilege: a folder cannot give a flow a secret that the flow does not name."""
    above = "env: {TOKEN: '${{ secrets.TOKEN }}'}\n"
    (finding,) = read(FLOW + BUILD, above).findings
    assert (finding.file, finding.line, finding.column) == ("_defaults.yaml", 1, 19)
    assert spec_of("secrets: [TOKEN]\n" + BUILD, above).secrets == ("TOKEN",)


def test_value_that_the_flow_overrides_is_not_judged() -> None:
    """What has no effect on a flow cannot be wrong for it."""
    above = "env: {DAY: '${{ inputs.day }}'}\n"
    assert spec_of("env: {DAY: monday}\n" + BUILD, above).env == {"DAY": "monday"}
    (finding,) = read(FLOW + "env: {DAY: '${{ inputs.x }}'}\n" + BUILD, above).findings
    assert finding.file == "f.yaml"


def test_broken_defaults_keep_a_flow_out() -> None:
    """Their findings come first, with their own place; the flow's own follow."""
    candidate = read(FLOW + "descripton: x\n" + BUILD, "env: []\n")

    places = [(finding.file, finding.line, finding.code) for finding in candidate.findings]
    assert places == [("_defaults.yaml", 1, "FR203"), ("f.yaml", 3, "FR201")]
    assert candidate.name == "example"
    assert (candidate.spec, candidate.definition) == (None, None)


def test_one_broken_file_in_the_chain_is_enough() -> None:
    """A good file nearer to the flow does not heal the one above."""
    for above in (("env: []\n", "env: {A: b}\n"), ("env: {A: b}\n", "env: []\n")):
        assert read(FLOW + BUILD, *above).spec is None


def test_broken_defaults_raise_no_false_findings() -> None:
    """While they cannot be read, nobody knows which variables there are."""
    text = FLOW + BUILD + "    env: {B: '${{ env.A }}', C: '${{ inputs.x }}'}\n"
    found = [(finding.file, finding.code) for finding in read(text, "env: {A: x\n").findings]
    assert found == [("_defaults.yaml", "FR101"), ("f.yaml", "FR402")]


def test_good_defaults_beside_broken_ones_are_not_judged() -> None:
    """What they say may be overridden by what cannot be read."""
    found = read(FLOW + BUILD, "env: {DAY: '${{ inputs.day }}'}\n", "env: []\n").findings
    assert [(finding.file, finding.code) for finding in found] == [("a/_defaults.yaml", "FR203")]


def test_broken_defaults_are_told_for_a_flow_that_is_not_yaml() -> None:
    """Both files are to be corrected."""
    found = [finding.file for finding in read("nodes: [", "env: []\n").findings]
    assert found == ["_defaults.yaml", "f.yaml"]


@pytest.mark.parametrize("above", ["", "# nothing\n", "{}\n", "env: {}\nlabels: {}\n"])
def test_defaults_that_say_nothing_change_nothing(above: str) -> None:
    """Digest and spec are those of the file alone."""
    assert spec_of(BUILD, above) == spec_of(BUILD)


def test_effective_definition_is_complete_by_itself() -> None:
    """What is stored compiles to the same spec without the files above."""
    candidate = read(
        FLOW + "env: {A: 1}\n" + BUILD, "env: {B: 2}\ndefaults: {timeout: 5m}\n", "labels: {x: y}\n"
    )
    assert candidate.spec is not None
    assert candidate.definition is not None
    assert "defaults" not in candidate.definition
    again = COMPILER.compile_definition(candidate.spec.key, candidate.definition)
    assert again == candidate.spec


def test_fingerprint_tells_every_change() -> None:
    """Content, place and what is wrong with a file that cannot be read all count."""
    texts = (("env: {A: b}\n",), ("env: {A: c}\n",), ("", "env: {A: b}\n"), ("env: [\n",), ())
    assert len({layers(*above).fingerprint for above in texts}) == len(texts)
    assert layers().fingerprint == ""


def test_attempts_of_the_folder_give_a_delay_its_effect() -> None:
    """A node may take its number of attempts from its folder; unknown defaults are not judged."""
    delay = "version: 1\nname: a\nnodes: [{id: a, run: x, retry: {delay: 5s}}]\n"
    attempts = "defaults: {retry: {max_attempts: 3}}\n"

    assert read(delay, attempts).findings == ()
    assert [finding.code for finding in read(delay).findings] == ["FR208"]
    assert "FR208" not in [finding.code for finding in read(delay, "defaults: [").findings]
