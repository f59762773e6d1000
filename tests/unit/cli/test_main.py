"""The command line as a whole: it finds the command, and nothing ends in a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from flowrunner import __version__
from flowrunner.cli.main import COMMANDS, main
from tests.architecture.checkout import ROOT

LIST_IMPORTS = """
import sys
from flowrunner.__main__ import main
main(["version"])
print(*sys.modules, sep="\\n")
"""

HEAVY = {
    "apscheduler",
    "asyncio",
    "dataclasses",
    "http.client",
    "importlib.metadata",
    "jsonschema",
    "logging",
    "prometheus_client",
    "sqlite3",
    "starlette",
    "subprocess",
    "uvicorn",
    "watchdog",
    "yaml",
}


def flowrunner(*words: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def test_version_imports_nothing_heavy() -> None:
    """`flowrunner version` starts fast because it imports next to nothing."""
    done = flowrunner("-c", LIST_IMPORTS)
    printed, *names = done.stdout.splitlines()
    imported = set(names)
    assert printed == f"flowrunner {__version__}"
    assert imported & HEAVY == set()
    others = {name for name in imported if name.startswith("flowrunner.cli.commands.")}
    assert others == {"flowrunner.cli.commands.version"}


@pytest.mark.parametrize(
    "words", [["version"], ["--version"], ["--version", "flows"]], ids=["command", "option", "both"]
)
def test_version_is_printed(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways to ask print the version and nothing else."""
    assert main(words) == 0
    assert capsys.readouterr() == (f"flowrunner {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table is there and explains itself."""
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: flowrunner {name}")


def test_help_keeps_the_capitals_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence about a command begins with a capital, and JSON stays JSON."""
    assert main(["schema", "--help"]) == 0

    assert "\nPrint the JSON schema of " in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help text names all commands."""
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"    {name}" in shown for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param([], ["a command is missing", "--help lists"], id="nothing"),
        pytest.param(["flws"], ["unknown command 'flws'", "did you mean flows?"], id="misspelt"),
        pytest.param(["xyzzy"], ["unknown command 'xyzzy'", "--help lists"], id="unknown"),
        pytest.param(["--nope"], ["--nope", "flowrunner --help"], id="unknown-option"),
        pytest.param(["--", "flows"], ["hint: flowrunner "], id="not-first"),
        pytest.param(["show"], ["ID", "flowrunner show --help"], id="missing-argument"),
        pytest.param(["flows", "-o", "xml"], ["xml", "flows --help"], id="wrong-choice"),
        pytest.param(["flows", "--out", "json"], ["--out"], id="abbreviated"),
        pytest.param(["flows", "--state", "a", "--socket", "b"], ["not allowed"], id="two-daemons"),
        pytest.param(["executions", "--limit", "0"], ["1 to 100000"], id="limit-too-small"),
        pytest.param(["executions", "--limit", "9" * 9], ["1 to 100000"], id="limit-too-large"),
        pytest.param(["executions", "--limit", "many"], ["many"], id="limit-no-number"),
        pytest.param(["executions", "--state", "faild"], ["faild", "failed"], id="unknown-state"),
        pytest.param(["run"], ["FLOW", "run --help"], id="run-what"),
        pytest.param(["run", "a", "--input", "x"], ["name=value"], id="input-without-value"),
        pytest.param(["config"], ["ACTION", "config --help"], id="config-what"),
        pytest.param(["schema", "x"], ["settings"], id="unknown-schema"),
        pytest.param(["serve", "extra"], ["extra", "flowrunner --help"], id="serve-extra"),
    ],
)
def test_usage_error_is_told_with_a_way_on(
    words: list[str], told: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What makes no sense exits with 2, a message and a hint, and prints no result."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("flowrunner: ")
    assert all(word in captured.err for word in told), captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        pytest.param(KeyboardInterrupt(), 130, "", id="ctrl-c"),
        pytest.param(BrokenPipeError(), 141, "", id="broken-pipe"),
        pytest.param(
            OSError(28, "No space left on device", "/x"),
            1,
            "flowrunner: /x: No space left on device\n",
            id="disk-full",
        ),
        pytest.param(
            ValueError("one\ntwo"),
            1,
            r"flowrunner: internal error: ValueError: one two \(.*test_main.py:[0-9]+\)\n",
            id="defect",
        ),
    ],
)
def test_unforeseen_end_is_one_line_or_none(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and a closed pipe are quiet, a defect is one line that names its place."""

    def failing(*_given: object) -> int:
        raise error

    assert main([], failing) == code
    assert re.fullmatch(told, capsys.readouterr().err)


def test_result_nobody_reads_ends_quietly() -> None:
    """With its reader gone a command exits with 141 and writes no complaint."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = flowrunner("-m", "flowrunner", "schema", "settings", stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_result_that_cannot_be_written_is_told() -> None:
    """A full disk behind the output is an error, not a success."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a descriptor is what is needed
        done = flowrunner("-m", "flowrunner", "version", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr == "flowrunner: No space left on device\n"


def test_closed_output_is_no_traceback() -> None:
    """A command whose standard streams were closed before it began ends by its own code."""
    command = f"'{sys.executable}' -m flowrunner version >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
