"""Two runs over the same files print the same, so that CI can compare them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from flowrunner.daemon.offline import validate
from tests.definitions.examples import BAD, FOLDER, GOOD

ROOT = FOLDER.parents[1]


def printed(folder: Path, form: str, seed: str, files: str = "tests/definitions") -> bytes:
    """Returns what the command prints about all good and bad files, or others."""
    argv = [sys.executable, "-m", "flowrunner", "validate", "--format", form, files]
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


def test_findings_of_spoilt_files_do_not_depend_on_the_run(tmp_path: Path) -> None:
    """Files with many mistakes at once, and names in common, have the same findings each time."""
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    chance = random.Random(1)
    texts = [path.read_text("utf-8", "replace").split("\n") for path in (*GOOD, *BAD)]
    short = [lines for lines in texts if len(lines) < 200]
    for number, lines in enumerate(short):
        edited = list(lines)
        for _ in range(3):
            edited.insert(chance.randrange(len(edited)), chance.choice(chance.choice(short)))
            del edited[chance.randrange(len(edited))]
        (spoilt / f"{number}.yaml").write_text("\n".join(edited), "utf-8")

    runs = [printed(tmp_path / seed, "json", seed, str(spoilt)) for seed in ("1", "2", "3")]
    assert len(set(runs)) == 1
    assert len(json.loads(runs[0])["findings"]) > len(short)


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
