"""What every system test starts with: a folder for flows and a place for the state."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    """An empty folder for flow files."""
    folder = tmp_path / "flows"
    folder.mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where a daemon may make its state directory."""
    return tmp_path / "state"
