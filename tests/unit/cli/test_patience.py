"""Following over a restart of the daemon: what is asked, what is told, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from flowrunner.cli.commands import logs, run
from flowrunner.cli.errors import NoDaemonError
from flowrunner.cli.log_stream import read_lines
from flowrunner.cli.patience import PATIENCE_S, PatientClient
from flowrunner.errors import NotFoundError
from tests.unit.cli import documents
from tests.unit.cli.documents import EXECUTION_ID
from tests.unit.cli.hosts import Process, words

GONE = NoDaemonError("there is no daemon: nothing listens")


class Daemon:
    """Answers in turn what a test has put down; the last answer again and again."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[Mapping[str, Any]] = []

    def get(self, _path: str, query: Mapping[str, str | int | None] | None = None) -> Any:
        self.asked.append(dict(query or {}))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def followed(daemon: Daemon, process: Process) -> list[str]:
    host = process.host
    patient = PatientClient(daemon, pause=host.pause, tell=host.remark)
    return [line.text for line in read_lines(patient, EXECUTION_ID, follow=True)]


def test_a_follower_goes_on_after_a_restart() -> None:
    """It asks from where it was, repeats no line, and the person knows why it was silent."""
    first, last = documents.log_page("one"), documents.log_page("two", is_complete=True)
    daemon, process = Daemon(first, GONE, GONE, last), Process()
    assert followed(daemon, process) == ["one", "two"]
    assert [query["cursor"] for query in daemon.asked] == [None, *[first["next_cursor"]] * 3]
    assert process.pauses == [0.5, 0.5]
    assert process.err == (
        "the daemon went away; asking again for 60 s\nthe daemon is there again\n"
    )


def test_a_follower_gives_up_after_a_minute() -> None:
    """A daemon that does not come back is an error at last."""
    process = Process()
    with pytest.raises(NoDaemonError):
        followed(Daemon(documents.log_page("one"), GONE), process)
    assert sum(process.pauses) == PATIENCE_S


def test_each_restart_has_its_own_minute() -> None:
    """An execution of a week may see many restarts."""
    page, end = documents.log_page("x"), documents.log_page(is_complete=True)
    gone = [GONE] * 100
    process = Process()
    assert followed(Daemon(page, *gone, page, *gone, end), process) == ["x", "x"]
    assert process.err.count("there again") == 2


def test_another_error_is_no_restart() -> None:
    """An execution that is not there any more is told at once."""
    process = Process()
    with pytest.raises(NotFoundError):
        followed(Daemon(documents.log_page("one"), NotFoundError("no such execution")), process)
    assert process.pauses == []


@pytest.mark.parametrize("follow", ["", " -f"])
def test_a_daemon_that_was_never_there_is_told_at_once(tmp_path: Path, follow: str) -> None:
    """Patience is for those who follow already."""
    process = Process()
    with pytest.raises(NoDaemonError):
        logs.execute(words(f"logs {EXECUTION_ID}{follow} --socket {tmp_path / 's'}"), process.host)
    assert process.pauses == []


def test_a_run_that_was_not_accepted_is_not_repeated(tmp_path: Path) -> None:
    """Only questions are asked again: a start might be one too many."""
    process = Process()
    with pytest.raises(NoDaemonError):
        run.execute(words(f"run backup --follow --socket {tmp_path / 's'}"), process.host)
    assert process.pauses == []
