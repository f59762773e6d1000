"""Whatever the documentation shows as a whole flow is one, and so is every flow that is shipped."""

from __future__ import annotations

import re

import pytest

from flowrunner.daemon.offline import make_compiler
from flowrunner.definitions.compiler import Compiler
from tests.unit.docs.pages import PAGES, read, yaml_examples

EXAMPLES = {
    f"{page.stem}-{number}": text
    for page in PAGES
    for number, text in enumerate(yaml_examples(page.read_text(encoding="utf-8")), start=1)
    if re.search("^version: 1$", text, re.MULTILINE)
}
FILES = {
    name: read(f"flows/{name}")
    for name in sorted(set(re.findall(r"\(flows/([\w-]+\.yaml)\)", read("README.md"))))
}
"""Those that README.md names: beside them lies what a reader of it has tried out."""
FEWEST = 12
"""Fewer examples than this mean that the pages, or their reader, have changed shape."""
FEWEST_FILES = 3
"""As many flows are shipped; one that README.md does not name would not be looked at."""


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    """The compiler of `flowrunner validate`."""
    return make_compiler()


def test_documentation_has_examples() -> None:
    """The pages hold whole flows, and the reader of this test finds them."""
    assert len(EXAMPLES) >= FEWEST
    assert len(FILES) >= FEWEST_FILES


@pytest.mark.parametrize("name", [*EXAMPLES, *FILES])
def test_example_compiles_without_a_finding(name: str, compiler: Compiler) -> None:
    """A flow that is shown, or shipped, has neither errors nor warnings."""
    text = EXAMPLES.get(name) or FILES[name]

    candidate = compiler.read(text.encode(), file=name, account="default")

    assert candidate.findings == ()
    assert candidate.spec is not None


@pytest.mark.parametrize("name", list(FILES))
def test_shipped_flow_names_its_schema(name: str) -> None:
    """An editor finds the schema by the first line of the file."""
    line = "# yaml-language-server: $schema=../schemas/flow.v1.schema.json"

    assert FILES[name].splitlines()[0] == line
