"""Promises of `flowrunner.system.tools`, with real programs."""

from __future__ import annotations

import os
import select
import threading
from pathlib import Path

import pytest

from flowrunner.system.tools import (
    StoppableTools,
    StoppedError,
    ToolFailedError,
    ToolTalksTooMuchError,
    run_tool,
)

PATIENCE_S = 10.0
"""Longer than any machine needs to end a killed process."""


def test_tool_says_what_it_prints() -> None:
    """The answer is standard output alone, byte by byte."""
    script = "printf 'a\\377'; echo aside >&2"
    assert run_tool(["sh", "-c", script], timeout_s=PATIENCE_S) == b"a\xff"


def test_tool_has_a_bare_environment_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the daemon's environment reaches it, but where programs are."""
    monkeypatch.setenv("FLOWRUNNER_SECRET_X", "hush")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    printed = run_tool(["sh", "-c", "cat; env"], timeout_s=PATIENCE_S).decode()
    names = {line.partition("=")[0] for line in printed.splitlines()}
    given = {"PATH", "LC_ALL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_TERMINAL_PROMPT"}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == given


def test_tool_is_fed_more_than_a_pipe_holds() -> None:
    """What goes in and what comes out do not wait for each other."""
    feed = bytes(1_000_000)
    assert run_tool(["cat"], timeout_s=PATIENCE_S, feed=feed) == feed


def test_tool_that_does_not_listen_is_fed_in_vain() -> None:
    """A program that closes its input is no failure."""
    assert run_tool(["true"], timeout_s=PATIENCE_S, feed=bytes(1_000_000)) == b""


def test_tool_that_prints_without_end_is_ended() -> None:
    """Memory is bounded, whatever a repository makes git say."""
    with pytest.raises(ToolTalksTooMuchError, match="more than 100000 bytes"):
        run_tool(["yes"], timeout_s=PATIENCE_S, most=100_000)


def test_tool_that_complains_without_end_is_understood() -> None:
    """Of standard error the first part is enough."""
    script = "yes | head -c 1000000 >&2; echo done"
    assert run_tool(["sh", "-c", script], timeout_s=PATIENCE_S) == b"done\n"


def test_missing_tool_has_a_code_of_its_own() -> None:
    """A host without a program is another thing than a program that fails."""
    with pytest.raises(ToolFailedError) as missing:
        run_tool(["no-such-tool"], timeout_s=PATIENCE_S)
    assert missing.value.code == "tool.missing"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param(["sh", "-c", "echo no >&2; exit 3"], "sh exited with 3: no", id="failed"),
        pytest.param(["no-such-tool"], "no-such-tool: .*No such file", id="missing"),
        pytest.param(["sh", "-c", "kill -9 $$"], "sh exited with -9", id="killed"),
    ],
)
def test_tool_that_fails_says_why(argv: list[str], words: str) -> None:
    """Another exit code than 0 and a missing program are one error with its cause."""
    with pytest.raises(ToolFailedError, match=words):
        run_tool(argv, timeout_s=PATIENCE_S)


@pytest.mark.parametrize(
    "end", [pytest.param("wait", id="tool-waits"), pytest.param("exit", id="tool-has-ended")]
)
def test_nothing_a_tool_started_outlives_its_time_limit(tmp_path: Path, end: str) -> None:
    """What it started is killed with it, also when it has ended and only its pipes are held."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"(exec 3>{fifo}; echo up >&3; exec sleep 600) & {end}"
    try:
        with pytest.raises(ToolFailedError, match="timed out"):
            run_tool(["sh", "-c", script], timeout_s=1)
        assert until_closed(reader) == b"up\n"
    finally:
        os.close(reader)


def until_closed(reader: int) -> bytes:
    """Reads a pipe until nobody holds its other end."""
    found = b""
    while select.select([reader], [], [], PATIENCE_S)[0]:
        data = os.read(reader, 100)
        if not data:
            return found
        found += data
    pytest.fail("a process still holds the pipe")


def test_tool_is_given_variables() -> None:
    """Variables that are named come beside the bare ones, and may replace them."""
    found = run_tool(["env"], timeout_s=PATIENCE_S, env={"X": "1", "LC_ALL": "C"}).decode()
    assert {"X=1", "LC_ALL=C", "GIT_TERMINAL_PROMPT=0"} <= set(found.splitlines())


def test_stopped_tools_end_at_once() -> None:
    """What runs is ended when nobody waits for it any more, and nothing begins after that."""
    tools = StoppableTools()
    assert tools.run(["echo", "a"], timeout_s=PATIENCE_S) == b"a\n"
    failures: list[ToolFailedError] = []

    def run() -> None:
        try:
            tools.run(["sleep", "1000"], timeout_s=2 * PATIENCE_S)
        except ToolFailedError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    tools.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert [type(each) for each in failures] == [StoppedError]
    with pytest.raises(StoppedError):
        tools.run(["sleep", "1000"], timeout_s=2 * PATIENCE_S)
    tools.close()
