"""Checking flows without a daemon, through the code that the daemon runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.daemon.offline import MissingPathError, validate

FLOW = "version: 1\nname: {name}\nnodes: [{{id: a, type: noop}}]\n"


def test_folder_the_daemon_would_hold_is_a_finding(tmp_path: Path) -> None:
    """A tree deeper than the daemon reads fails the check, though its files are good."""
    deep = tmp_path.joinpath(*(f"d{number}" for number in range(18)))
    deep.mkdir(parents=True)
    (deep / "a.yaml").write_text(FLOW.format(name="a"))
    report = validate([str(tmp_path)])
    assert [(finding.code, finding.file) for finding in report.findings] == [
        ("FR110", str(tmp_path))
    ]


def test_files_are_judged_together(tmp_path: Path) -> None:
    """Two files of one name are both refused, under the paths that were given."""
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(FLOW.format(name="same"))
    report = validate([str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml")])
    assert [finding.code for finding in report.findings] == ["FR311", "FR311"]
    assert report.flows == 0


def test_missing_path_is_an_error(tmp_path: Path) -> None:
    """A path that does not exist is the caller's mistake, not a finding."""
    with pytest.raises(MissingPathError, match="no such file"):
        validate([str(tmp_path / "nowhere")])
