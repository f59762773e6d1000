"""Bytes on the command line that are no text: a message, never a traceback or an internal error."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.system.daemon import COMMAND, PATIENCE_S, bare_environment, daemon
from tests.system.flow_files import NOTHING, flow_text

pytestmark = pytest.mark.system

WORD = os.fsdecode(b"\xff")


def run(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Runs a command with words of any bytes; returns its exit code and all that it printed."""
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=bare_environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout.decode()


NAMING = [
    ("show", WORD),
    ("logs", WORD),
    ("cancel", WORD),
    ("run", WORD),
    ("flows", WORD),
    ("executions", "--flow", WORD),
]


def complaint_of(words: tuple[str, ...], folder: Path, state: Path) -> str:
    """The complaint about words that must be a usage error."""
    code, told = run(*words, "--state", str(state), cwd=folder)
    assert (words, code) == (words, 2)
    return told.splitlines()[0]


def test_names_that_are_no_text_are_usage_errors(flows: Path, state: Path) -> None:
    """With a daemon and without one, the complaint shows the word and exits 2."""
    expected = {r"flowrunner: '\udcff' is not UTF-8 text"}
    assert {complaint_of(each, flows, state) for each in NAMING} == expected
    with daemon(flows, state):
        assert {complaint_of(each, flows, state) for each in NAMING} == expected


@pytest.mark.parametrize("command", ["validate", "run"])
def test_file_names_that_are_no_text_are_files_like_others(command: str, tmp_path: Path) -> None:
    """One that is missing is told, one with findings is told with them, a good one is taken."""
    good, bad = tmp_path / f"{WORD}.yaml", tmp_path / f"bad{WORD}.yaml"
    good.write_text(flow_text("good", NOTHING), encoding="utf-8")
    bad.write_text(flow_text("bad", "nodse: []\n"), encoding="utf-8")

    code, told = run(command, f"missing{WORD}.yaml", cwd=tmp_path)
    assert (code, told) == (
        2,
        "flowrunner: missing\\udcff.yaml: no such file or folder [usage.path]\n",
    )
    code, told = run(command, bad.name, cwd=tmp_path)
    assert (code, told.partition(":")[0]) == (3, "bad\\udcff.yaml")
    code, told = run(command, good.name, cwd=tmp_path)
    assert (code, told) == (
        0,
        "1 valid flow, 0 errors, 0 warnings\n" if command == "validate" else "",
    )
