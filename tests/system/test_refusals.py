"""What `serve` refuses to start with, and what commands say without a daemon."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.system.daemon import (
    INSTALLED,
    PATIENCE_S,
    RunningDaemon,
    command,
    daemon,
    eventually,
    ordinary_program,
)
from tests.system.flow_files import EVERY_SECOND, says, write_flow

pytestmark = pytest.mark.system

ORDINARY = ordinary_program()


def serve(flows: Path, state: Path, *arguments: str) -> CompletedProcess[str]:
    """Runs a `serve` that is expected to end by itself; a later option wins."""
    given = ("--flows", str(flows), "--state", str(state), "--listen", "127.0.0.1:0", *arguments)
    return command("serve", *given, cwd=flows.parent)


def assert_refused(done: CompletedProcess[str], code: int, *words: str) -> None:
    """Asserts an exit code, the words of its message, and that there is no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "READY" not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_port_in_use_is_left_to_a_restart(flows: Path, state: Path) -> None:
    """Exit code 1 with the port in the message, and the state is free again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serve(flows, state, "--listen", f"127.0.0.1:{port}")
        assert_refused(done, 1, "port_in_use", port)
    with daemon(flows, state):
        pass


def test_of_three_daemons_on_one_state_the_first_alone_goes_on(flows: Path, state: Path) -> None:
    """The others end with 1 and name it, and it starts each slot; killed, it leaves the state."""
    write_flow(flows, "beat", EVERY_SECOND, says("one"))
    with daemon(flows, state) as first:
        eventually(lambda: first.executions("beat"), lambda: first.events)
        others = [RunningDaemon(flows, state, env={}, name=name) for name in ("second", "third")]
        for other in others:
            assert other.process.wait(PATIENCE_S) == 1, other.output
            assert "READY" not in other.output
            holder = f"the state directory {state} is in use by process {first.process.pid}"
            assert other.output == f"flowrunner: {holder} [storage.locked]\n"
        before = len(first.executions("beat"))
        eventually(lambda: len(first.executions("beat")) > before, lambda: first.events)
        slots = [each["slot_at"] for each in first.executions("beat")]
        assert len(slots) == len(set(slots))
        assert first.command("status").returncode == 0
        first.kill()
    with daemon(flows, state) as following:
        assert len(following.executions("beat")) >= len(slots)
        assert_refused(serve(flows, state), 1, "storage.locked", str(following.process.pid))


def a_file(state: Path) -> None:
    """The state directory is a file."""
    state.write_text("", encoding="utf-8")


def writable_by_the_group(state: Path) -> None:
    """Others could put files into the state directory."""
    state.mkdir(mode=0o700)
    state.chmod(0o770)


def below_a_file(state: Path) -> None:
    """The state directory cannot be made."""
    state.symlink_to("/dev/null/state")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(a_file, "state_not_writable", id="a-file"),
        pytest.param(writable_by_the_group, "unsafe_permissions", id="group-writable"),
        pytest.param(below_a_file, "state_not_writable", id="cannot-be-made"),
    ],
)
def test_an_unusable_state_directory_is_for_a_person_to_repair(
    flows: Path, state: Path, spoil: Callable[[Path], None], code: str
) -> None:
    """Exit code 78 with the path: starting again would not help."""
    spoil(state)

    assert_refused(serve(flows, state), 78, code, str(state))


def test_a_state_directory_among_the_flows_is_refused(flows: Path) -> None:
    """Exit code 78 before anything is made there; `config check` says the same."""
    state = flows / "state"

    assert_refused(serve(flows, state), 78, "settings.state_among_flows", "storage.path")
    done = command("config", "check", "--flows", str(flows), "--state", str(state), cwd=flows)
    assert_refused(done, 4, "settings.state_among_flows", "storage.path")
    assert not state.exists()


@pytest.mark.skipif(ORDINARY is None, reason="root needs setpriv of the package util-linux")
def test_a_state_directory_that_cannot_be_written_is_refused(flows: Path, state: Path) -> None:
    """Exit code 78 with the path, before a socket is bound."""
    state.mkdir(mode=0o500)
    options = ("--flows", str(flows), "--state", str(state), "--listen", "127.0.0.1:0")

    done = command("serve", *options, cwd=flows.parent, program=ORDINARY or INSTALLED)

    assert_refused(done, 78, "state_not_writable", str(state))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"])
def test_listening_off_loopback_is_refused_until_there_are_tokens(
    flows: Path, state: Path, address: str
) -> None:
    """Exit code 78 before anything is opened."""
    done = serve(flows, state, "--listen", address)

    assert_refused(done, 78, "settings.listen_off_loopback", "hint:")
    assert not state.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("server: {listen: [}\n", (":1:", "FR101"), id="not-yaml"),
        pytest.param("auth: {local: wide}\n", (":1:", "open"), id="wrong-word"),
        pytest.param("server:\n  lisen: x\n", (":2:3:", "lisen", "listen"), id="unknown-key"),
        pytest.param("metrics: {}\n", (":1:1:", "planned"), id="planned-section"),
        pytest.param("- a\n- b\n", ("not a map",), id="a-list"),
        pytest.param("source: {resync: 60}\n", (":1:", "60s"), id="duration-without-unit"),
    ],
)
def test_broken_settings_are_shown_with_their_place(
    flows: Path, state: Path, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    """Exit code 78 with file:line:column and a hint; nothing is guessed, nothing ignored."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(text, encoding="utf-8")

    done = serve(flows, state, "--config", str(settings))

    assert_refused(done, 78, str(settings), *words)
    assert not state.exists()


def test_an_unknown_variable_is_refused_with_the_nearest_name(flows: Path, state: Path) -> None:
    """A setting misspelt in the environment is as wrong as one misspelt in the file."""
    environment = {"FLOWRUNNER_SERVER__LISSEN": "127.0.0.1:0"}
    options = ("--flows", str(flows), "--state", str(state))

    done = command("serve", *options, cwd=flows.parent, env=environment)

    assert_refused(done, 78, "FLOWRUNNER_SERVER__LISSEN", "FLOWRUNNER_SERVER__LISTEN")


def test_a_missing_settings_file_is_refused(flows: Path, state: Path) -> None:
    """A daemon told to read its settings does not start on defaults instead."""
    assert_refused(serve(flows, state, "--config", "nowhere.yaml"), 78, "nowhere.yaml")


def test_a_state_of_a_newer_version_is_not_touched(flows: Path, state: Path) -> None:
    """Exit code 78, and the database is byte for byte as the newer version left it."""
    with daemon(flows, state) as running:
        assert running.stop() == 0
    database = state / "flowrunner.db"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = database.read_bytes()

    assert_refused(serve(flows, state), 78, "storage.newer", "9999")

    assert database.read_bytes() == before


def test_a_damaged_database_is_not_overwritten(flows: Path, state: Path) -> None:
    """Exit code 78: what can still be saved from the file is left to a person."""
    with daemon(flows, state) as running:
        assert running.stop() == 0
    database = state / "flowrunner.db"
    database.write_bytes(b"this is no database" * 1000)
    before = database.read_bytes()

    assert_refused(serve(flows, state), 78, "storage.corrupt", "flowrunner.db")

    assert database.read_bytes() == before


def test_a_control_socket_path_that_is_too_long_is_refused_with_a_hint(
    flows: Path, tmp_path: Path
) -> None:
    """Exit code 78 says how long it may be and which setting makes it shorter."""
    state = tmp_path / ("long" * 30)

    assert_refused(serve(flows, state), 78, "107", "server.control_socket")

    assert not state.exists()


def test_a_shorter_control_socket_makes_a_long_state_path_usable(
    flows: Path, tmp_path: Path
) -> None:
    """The daemon and its commands meet at the socket that the setting names."""
    state, control = tmp_path / ("long" * 30), tmp_path / "c.sock"
    environment = {"FLOWRUNNER_SERVER__CONTROL_SOCKET": str(control)}

    with daemon(flows, state, env=environment):
        by_option = command("status", "--socket", str(control), cwd=tmp_path)
        assert by_option.returncode == 0, by_option.stderr
        by_variable = command("status", cwd=tmp_path, env={"FLOWRUNNER_SOCKET": str(control)})
        assert by_variable.returncode == 0, by_variable.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("status",), id="status"),
        pytest.param(("flows",), id="flows"),
        pytest.param(("executions",), id="executions"),
        pytest.param(("run", "hello"), id="run"),
        pytest.param(("reconcile",), id="reconcile"),
    ],
)
def test_a_command_without_a_daemon_says_where_it_looked(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit code 5 with the path of the socket, not a traceback."""
    state = tmp_path / "nowhere"

    assert_refused(
        command(*arguments, "--state", str(state), cwd=tmp_path), 5, str(state / "control.sock")
    )


def test_the_socket_of_a_killed_daemon_does_not_keep_the_next_one_out(
    flows: Path, state: Path
) -> None:
    """A socket left over from a crash is no daemon to commands, and the next start replaces it."""
    with daemon(flows, state) as running:
        running.kill()
    assert (state / "control.sock").exists()
    assert command("status", "--state", str(state), cwd=flows.parent).returncode == 5

    with daemon(flows, state) as running:
        assert running.command("status").returncode == 0
