"""`_defaults.yaml` by itself: the files of `tests/definitions/bad-defaults` and `good-defaults`."""

from __future__ import annotations

import json
from itertools import chain, repeat
from pathlib import Path

import pytest

from flowrunner.definitions.defaults_schema import defaults_schema
from tests.definitions.examples import (
    BAD_DEFAULTS,
    GOOD_DEFAULTS,
    Expected,
    data_of,
    expected_of,
)
from tests.fakes.nodes import builtin_compiler

PUBLISHED = Path(__file__).parents[3] / "schemas" / "defaults.v1.schema.json"
COMPILER = builtin_compiler()


@pytest.mark.parametrize("path", BAD_DEFAULTS, ids=lambda path: path.stem)
def test_bad_defaults_have_exactly_the_findings_they_announce(path: Path) -> None:
    """Code, line, column and message of all findings are as announced, and there are no more."""
    announced = expected_of(path)
    found = COMPILER.read_defaults(path.read_bytes(), file=path.name)

    assert announced
    beyond = repeat(Expected("", 0, 0, ""))
    seen = [
        expected.seen_in(finding)
        for finding, expected in zip(found.findings, chain(announced, beyond), strict=False)
    ]
    assert seen == announced
    assert all(finding.file == path.name for finding in found.findings)
    assert found.is_broken
    assert (found.data, found.env) == ({}, {})


@pytest.mark.parametrize("path", GOOD_DEFAULTS, ids=lambda path: path.stem)
def test_good_defaults_have_no_findings(path: Path) -> None:
    """What a flow must bring to them, such as an input, is not asked of the file itself."""
    found = COMPILER.read_defaults(path.read_bytes(), file=path.name)

    assert found.findings == ()
    assert not found.is_broken


def test_every_key_of_the_schema_is_in_a_good_file() -> None:
    """No key is accepted without a file that shows that it works."""
    schema = defaults_schema()
    used = {key for path in GOOD_DEFAULTS for key in data_of(path) or {}}
    of_nodes = {key for path in GOOD_DEFAULTS for key in (data_of(path) or {}).get("defaults", {})}

    assert used == set(schema["properties"])
    assert of_nodes == set(schema["properties"]["defaults"]["properties"])


def test_published_schema_is_current() -> None:
    """The file in `schemas/` is what the code accepts; `make generate` writes it anew."""
    expected = json.dumps(defaults_schema(), indent=2, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text(encoding="utf-8") == expected
