"""Many files at a time give what each gives by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.flow_files import flow_text
from flowrunner.definitions.candidate import FileText
from flowrunner.definitions.folder_defaults import Layers
from flowrunner.model.ids import Json
from tests.definitions.examples import BAD, BAD_DEFAULTS, GOOD, GOOD_DEFAULTS
from tests.fakes.nodes import builtin_compiler

FILES = [path.read_bytes() for path in (*GOOD, *BAD)]
FILES += [flow_text(number).encode() for number in range(20)]


def below(*texts: bytes) -> Layers:
    """Returns what files say that stand above others."""
    compiler = builtin_compiler()
    named = enumerate(texts)
    return Layers(
        tuple(compiler.read_defaults(text, file=f"{at}/_defaults.yaml") for at, text in named)
    )


@pytest.mark.parametrize("above", [None, *GOOD_DEFAULTS, *BAD_DEFAULTS[:2]])
def test_many_files_at_a_time_give_what_each_gives(above: Path | None) -> None:
    """Good ones, those with findings, those that are no flow or no YAML: in their order."""
    compiler, layers = builtin_compiler(), below(*([above.read_bytes()] if above else []))
    texts = [FileText(data, f"flow-{at}.yaml", layers) for at, data in enumerate(FILES)]
    each = [compiler.draft(data, file=file, layers=layers) for data, file, _ in texts]
    assert compiler.drafts(texts) == each


def test_no_file_gives_nothing() -> None:
    """A batch may be empty."""
    assert builtin_compiler().drafts([]) == []


def test_files_below_different_defaults_do_not_meddle() -> None:
    """What is inherited belongs to one file alone, though its neighbour is examined with it."""
    text = b"version: 1\nname: a\nnodes: [{id: b, run: x, env: {X: '${{ env.REGION }}'}}]\n"
    given = below(b"env: {REGION: eu}\n")
    (bad, nothing), (good, definition) = builtin_compiler().drafts(
        [FileText(text, "a.yaml"), FileText(text, "b.yaml", given)]
    )
    assert [finding.file for finding in bad.findings] == ["a.yaml"]
    assert (nothing, good.findings) == (None, ())
    assert _env(definition) == {"REGION": "eu"}


def _env(definition: Json) -> Json:
    return definition["env"]
