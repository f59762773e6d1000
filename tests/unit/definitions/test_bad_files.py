"""Every mistake has its finding: the files of `tests/definitions/bad`."""

from __future__ import annotations

from itertools import chain, repeat
from pathlib import Path

import pytest

from flowrunner.definitions.codes import CODES
from tests.definitions.examples import BAD, Expected, expected_of
from tests.fakes.nodes import builtin_compiler

MINIMAL = b"version: 1\nname: example\nnodes:\n  - id: build\n    run: make\n"

TESTED_ELSEWHERE = {
    "FR106": "below: a file of more than 1 MiB",
    "FR110": "tests/unit/reconcile/test_scan.py",
    "FR111": "tests/unit/reconcile/test_scan.py",
    "FR116": "tests/unit/reconcile/test_plan.py",
    "FR117": "tests/unit/reconcile/test_accounts.py",
    "FR118": "tests/unit/reconcile/test_protection.py",
    "FR311": "tests/unit/reconcile/test_plan.py",
    "FR315": "tests/unit/reconcile/test_flow_cycles.py",
    "FR316": "tests/unit/reconcile/test_group_deadlocks.py",
    "FR317": "tests/unit/reconcile/test_flow_inputs.py",
    "FR505": "tests/unit/reconcile/test_unknown_flows.py",
    "FR601": "tests/integration/test_validate_host.py",
    "FR602": "tests/integration/test_validate_host.py",
    "FR603": "tests/integration/test_validate_host.py",
    "FR604": "tests/integration/test_validate_host.py",
    "FR605": "tests/integration/test_validate_host.py",
}
"""Codes that no single small file can raise."""

COMPILER = builtin_compiler()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_has_exactly_the_findings_it_announces(path: Path) -> None:
    """Code, line, column and message of all findings are as announced, and there are no more."""
    announced = expected_of(path)
    candidate = COMPILER.read(path.read_bytes(), file=path.name, account="default")

    assert announced
    beyond = repeat(Expected("", 0, 0, ""))
    seen = [
        expected.seen_in(finding)
        for finding, expected in zip(candidate.findings, chain(announced, beyond), strict=False)
    ]
    assert seen == announced
    assert all(finding.file == path.name for finding in candidate.findings)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_gives_a_flow_only_when_all_its_findings_are_warnings(path: Path) -> None:
    """An error keeps the flow out, a warning does not."""
    candidate = COMPILER.read(path.read_bytes(), file=path.name, account="default")

    has_errors = any(finding.is_error for finding in candidate.findings)
    assert (candidate.spec is None) == has_errors
    assert (candidate.definition is None) == has_errors


def test_every_code_has_an_example() -> None:
    """Each code that a file can raise is raised by one of the bad files."""
    shown = {expected.code for path in BAD for expected in expected_of(path)}

    assert shown | TESTED_ELSEWHERE.keys() == CODES.keys()
    assert not shown & TESTED_ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        pytest.param(MINIMAL + b"\0", "FR107", (6, 1), id="nul"),
        pytest.param(MINIMAL + b"# \xff\n", "FR107", (6, 3), id="not-utf-8"),
        pytest.param(MINIMAL + "# \ufeff\n".encode(), "FR107", (6, 3), id="byte-order-mark"),
        pytest.param(MINIMAL + "# \x85\n".encode(), "FR107", (6, 3), id="next-line"),
        pytest.param(MINIMAL + b"#" * 1_048_576, "FR106", (1, 1), id="more-than-1-mib"),
        pytest.param(b"[" * 200_000, "FR105", (1, 1001), id="brackets"),
    ],
)
def test_file_that_cannot_be_kept_as_text(data: bytes, code: str, place: tuple[int, int]) -> None:
    """Bytes that no editor should have to open are one finding too."""
    candidate = COMPILER.read(data, file="f.yaml", account="default")

    (finding,) = candidate.findings
    assert (finding.code, (finding.line, finding.column)) == (code, place)
    assert candidate.name is None


@pytest.mark.parametrize(
    "path", [path for path in BAD if path.stem.startswith("foreign-")], ids=lambda path: path.stem
)
def test_foreign_file_has_one_finding(path: Path) -> None:
    """A file that is no flow at all is told so once, whatever it holds."""
    assert [expected.code for expected in expected_of(path)] == ["FR109"]
