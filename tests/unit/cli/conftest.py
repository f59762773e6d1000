"""A control socket with nothing behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.control_server import ControlServer, control_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
    """Serves where a command started in this folder looks first."""
    monkeypatch.chdir(tmp_path)  # relative, since a socket's path must be short
    monkeypatch.delenv("FLOWRUNNER_SOCKET", raising=False)
    Path(".flowrunner").mkdir()
    with control_server(Path(".flowrunner/control.sock")) as serving:
        yield serving
