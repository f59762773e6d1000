"""`backup`, `restore`, `check-state`: by the daemon or without it, and what they print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowrunner.cli.commands import backup, check_state, restore
from flowrunner.cli.errors import NoDaemonError, UsageError
from flowrunner.errors import StorageError
from tests.unit.cli.control_server import ControlServer, control_server
from tests.unit.cli.hosts import Process, words

BACKUP = "POST /control/v1/backup"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ControlServer]:
    with control_server(tmp_path / "control.sock") as running:
        yield running


@dataclass(frozen=True)
class Done:
    quarantined: Path


@dataclass(frozen=True)
class Found:
    findings: tuple[str, ...] = ()
    schema_version: int = 3
    executions: int = 7


def never(*_given: object) -> Path:
    raise AssertionError


def test_running_daemon_makes_the_backup(server: ControlServer, tmp_path: Path) -> None:
    """It is asked for an absolute path, since its own folder is another one."""
    server.put(BACKUP, {"path": "/there/mine.db"})
    process = Process()
    args = words(f"backup mine.db --state {tmp_path}")
    assert backup.execute(args, process.host, never) == 0
    assert process.out == "/there/mine.db\n"
    assert server.bodies == [{"file": str(Path.cwd() / "mine.db")}]


def test_backup_without_a_name_is_the_daemons_next(server: ControlServer, tmp_path: Path) -> None:
    """Without FILE the daemon chooses the place."""
    server.put(BACKUP, {"path": "/state/backup/b.db"})
    assert backup.execute(words(f"backup --state {tmp_path}"), Process().host, never) == 0
    assert server.bodies == [{"file": None}]


def test_backup_is_made_here_without_a_daemon(tmp_path: Path) -> None:
    """With nobody at the socket the state is copied by this process, under its lock."""
    asked: list[tuple[Path, Path | None]] = []

    def offline(state: Path, target: Path | None) -> Path:
        asked.append((state, target))
        return state / "backup" / "b.db"

    process = Process()
    assert backup.execute(words(f"backup --state {tmp_path}"), process.host, offline) == 0
    assert asked == [(tmp_path, None)]
    assert process.out == f"{tmp_path}/backup/b.db\n"


def test_named_socket_means_a_daemon(tmp_path: Path) -> None:
    """With --socket nobody there is an error: some other state must not be copied instead."""
    args = words(f"backup --socket {tmp_path}/none.sock")
    with pytest.raises(NoDaemonError):
        backup.execute(args, Process().host, never)


def test_refusal_of_the_daemon_is_no_reason_to_go_round_it(
    server: ControlServer, tmp_path: Path
) -> None:
    """A daemon that cannot write the file has the last word."""
    server.put_problem(BACKUP, 503, "storage.read_only")
    with pytest.raises(Exception, match="it is so"):
        backup.execute(words(f"backup x.db --state {tmp_path}"), Process().host, never)


@pytest.mark.parametrize("had_one", [True, False])
def test_restore_says_where_the_state_before_is(tmp_path: Path, *, had_one: bool) -> None:
    """The path of what was set aside is printed, if there was anything."""
    aside = tmp_path / "flowrunner.db.quarantined-1"
    if had_one:
        aside.touch()
    process = Process()
    args = words(f"restore b.db --state {tmp_path}")
    assert restore.execute(args, process.host, lambda _state, _origin: Done(aside)) == 0
    assert (str(aside) in process.out) is had_one
    assert "schedules begin" in process.out


def test_acknowledge_asks_the_daemon(server: ControlServer, tmp_path: Path) -> None:
    """The condition belongs to the daemon that runs."""
    server.put("POST /control/v1/restored/acknowledge", {"conditions": []})
    args = words(f"restore --acknowledge --state {tmp_path}")
    assert restore.execute(args, Process().host) == 0
    assert server.asked == ["POST /control/v1/restored/acknowledge"]


@pytest.mark.parametrize("line", ["restore", "restore b.db --acknowledge"])
def test_restore_takes_a_backup_or_acknowledges(line: str) -> None:
    """Neither and both make no sense."""
    with pytest.raises(UsageError):
        restore.execute(words(line), Process().host)


def test_locked_state_is_not_restored(tmp_path: Path) -> None:
    """While a daemon has the state, its refusal is passed on."""

    def locked(_state: Path, _origin: Path) -> Done:
        raise StorageError("in use by process 1", code="storage.locked")

    with pytest.raises(StorageError, match="in use"):
        restore.execute(words(f"restore b.db --state {tmp_path}"), Process().host, locked)


@pytest.mark.parametrize(
    ("found", "code", "text"),
    [
        (Found(), 0, "ok: schema version 3, 7 executions\n"),
        (Found(findings=("a is lost", "b is damaged")), 1, "a is lost\nb is damaged\n"),
    ],
    ids=["well", "ill"],
)
def test_check_state_exits_by_what_it_found(
    tmp_path: Path, found: Found, code: int, text: str
) -> None:
    """Findings are printed one a line and make the command fail."""
    process = Process()
    args = words(f"check-state --state {tmp_path}")
    assert check_state.execute(args, process.host, lambda _state: found) == code
    assert process.out == text
