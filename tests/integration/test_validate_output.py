"""Two runs over the same files print the same, so that CI can compare them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowrunner.daemon.offline import validate
from tests.definitions.examples import FOLDER

ROOT = FOLDER.parents[1]


def printed(folder: Path, form: str, seed: str) -> bytes:
    """Returns what the command prints about all good and bad files."""
    argv = [sys.executable, "-m", "flowrunner", "validate", "--format", form, "tests/definitions"]
    environment = {"HOME": str(folder), "PYTHONHASHSEED": seed}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
    return done.stdout


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_output_does_not_depend_on_the_run(form: str, tmp_path: Path) -> None:
    """Neither the order in which Python hashes nor the cache changes a byte."""
    first = printed(tmp_path, form, "1")
    assert printed(tmp_path, form, "2") == first
    assert printed(tmp_path / "elsewhere", form, "3") == first


def test_findings_are_sorted_by_file_and_place(tmp_path: Path) -> None:
    """The findings of all files stand in one order."""
    found = json.loads(printed(tmp_path, "json", "1"))["findings"]
    places = [(f["file"], f["line"], f["column"], f["code"]) for f in found]
    assert places == sorted(places)
    assert len({file for file, *_ in places}) > 100


def test_many_copies_of_a_flow_are_told_briefly(tmp_path: Path) -> None:
    """A name that hundreds of files claim makes no message that lists them all."""
    for number in range(300):
        text = "version: 1\nname: same\nnodes: [{id: a, type: noop}]\n"
        (tmp_path / f"{number}.yaml").write_text(text)
    report = validate([str(tmp_path)])
    assert len(report.findings) == 300
    assert max(len(finding.message) for finding in report.findings) < 1_000


def test_advice_about_defaults_is_given_once(tmp_path: Path) -> None:
    """A variable that nothing replaces in `_defaults.yaml` is no finding of each flow below it."""
    (tmp_path / "_defaults.yaml").write_text("env: {TARGET: '${HOME}/x'}\n")
    for name in ("one", "two"):
        text = f"version: 1\nname: {name}\nnodes: [{{id: a, run: make}}]\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    (finding,) = validate([str(tmp_path)]).findings
    assert (finding.code, finding.file) == ("FR510", f"{tmp_path}/_defaults.yaml")
    assert (finding.line, finding.column) == (1, 16)
