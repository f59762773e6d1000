"""The published schema means the same to a library that FlowRunner does not use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jschon
import pytest

from flowrunner.model.ids import Json
from tests.definitions.examples import BAD, GOOD, data_of
from tests.fakes.nodes import builtin_compiler
from tests.unit.docs.pages import ROOT

# The library resolves references by a call that its own dependency would like to lose.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:rfc3986")

FLOWS = tuple(sorted((ROOT / "flows").glob("*.yaml")))
# The library searches with Python's `re`, whose `$` lets a line break follow (ECMA-262's not).
JUDGED = [path for path in (*FLOWS, *GOOD, *BAD) if path.stem != "name-ends-in-line-break"]
OURS = builtin_compiler().schema


@pytest.fixture(scope="module")
def elsewhere() -> Any:
    """The file that editors load, in the hands of an independent validator."""
    jschon.create_catalog("2020-12")
    return jschon.JSONSchema(json.loads((ROOT / "schemas/flow.v1.schema.json").read_text()))


def test_schema_is_one_elsewhere(elsewhere: Any) -> None:
    """An independent library takes the document for JSON Schema 2020-12."""
    assert elsewhere.validate().valid


@pytest.mark.parametrize("path", JUDGED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_libraries_agree(path: Path, elsewhere: Any) -> None:
    """An editor marks a file exactly where the daemon's fast check says no."""
    data = data_of(path)

    assert says_yes(elsewhere, data) == OURS.is_valid(data)


def says_yes(elsewhere: Any, data: Json) -> bool:
    """Returns the verdict of the independent library."""
    return bool(elsewhere.evaluate(jschon.JSON(data)).valid)
