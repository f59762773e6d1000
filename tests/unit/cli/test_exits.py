"""Each error has its exit code, which scripts and systemd rely on."""

from __future__ import annotations

import pytest

from flowrunner.cli.errors import CommandError, NoDaemonError, UsageError
from flowrunner.cli.exits import exit_of
from flowrunner.errors import (
    AuthError,
    ExecutionError,
    FlowError,
    NotFoundError,
    RefusedError,
    SettingsError,
    StorageError,
    ValidationError,
)

FULL = StorageError("x", code="storage.full")
LOCKED = StorageError("x", code="storage.locked")
NEWER = StorageError("x", code="storage.newer")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(FlowError("x"), 1, id="unforeseen"),
        pytest.param(ExecutionError("x"), 1, id="execution"),
        pytest.param(CommandError("x"), 1, id="command"),
        pytest.param(FULL, 1, id="no-space"),
        pytest.param(UsageError("x"), 2, id="usage"),
        pytest.param(ValidationError("x", code="usage.path"), 2, id="missing-path"),
        pytest.param(ValidationError("x", code="input.invalid"), 2, id="input"),
        pytest.param(ValidationError("x", code="request.parameter"), 2, id="option-value"),
        pytest.param(ValidationError("x"), 3, id="findings"),
        pytest.param(SettingsError("x"), 4, id="settings"),
        pytest.param(FlowError("x", code="settings.unknown_backend"), 4, id="settings-by-code"),
        pytest.param(NoDaemonError("x"), 5, id="no-daemon"),
        pytest.param(RefusedError("x", code="storage.full"), 5, id="refused"),
        pytest.param(NotFoundError("x"), 5, id="not-found"),
        pytest.param(AuthError("x"), 5, id="no-right"),
    ],
)
def test_command_exits_by_its_error(error: FlowError, code: int) -> None:
    """A command other than `serve` tells what kind of failure it met."""
    assert exit_of(error) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(FlowError("x", code="port_in_use"), 1, id="port-in-use"),
        pytest.param(FlowError("x", code="socket_in_use"), 1, id="socket-in-use"),
        pytest.param(LOCKED, 1, id="locked"),
        pytest.param(FULL, 1, id="no-space"),
        pytest.param(FlowError("x"), 1, id="unforeseen"),
        pytest.param(UsageError("x"), 2, id="usage"),
        pytest.param(SettingsError("x", code="settings.value"), 78, id="settings"),
        pytest.param(SettingsError("x", code="FR101"), 78, id="settings-file-is-no-yaml"),
        pytest.param(NEWER, 78, id="newer-state"),
        pytest.param(StorageError("x", code="storage.read_only"), 78, id="read-only"),
        pytest.param(StorageError("x", code="storage.corrupt"), 78, id="corrupt"),
        pytest.param(FlowError("x", code="state_not_writable"), 78, id="not-writable"),
        pytest.param(FlowError("x", code="unsafe_permissions"), 78, id="unsafe-permissions"),
    ],
)
def test_serve_tells_whether_a_restart_may_help(error: FlowError, code: int) -> None:
    """`serve` exits with 78 for what only a person can cure, with 1 for what may pass."""
    assert exit_of(error, serving=True) == code
