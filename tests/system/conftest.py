"""What system tests start with: a folder for flows, a place for the state, a repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.flow_files import flow_text, runs
from tests.system.upstreams import SHOWS_FILES, Upstream


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


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    """A repository with one flow, nothing of it committed yet."""
    made = Upstream(tmp_path)
    made.write("flows/hello.yaml", flow_text("hello", runs(SHOWS_FILES)))
    made.write("flows/word.txt", "one\n")
    return made
