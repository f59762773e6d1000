"""Checking flows without a daemon, through the code that the daemon runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.daemon.offline import MissingPathError, read_flows, validate

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


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(["flows/a.yaml", "flows/a.yaml"], id="file-twice"),
        pytest.param(["flows/a.yaml", "./flows/sub/../a.yaml"], id="other-spelling"),
        pytest.param(["flows/a.yaml", "{here}/flows/a.yaml"], id="absolute"),
        pytest.param(["flows/a.yaml", "link.yaml"], id="link-to-the-file"),
        pytest.param(["flows", "flows/"], id="folder-twice"),
        pytest.param(["flows", "flows/a.yaml"], id="file-in-the-folder-before"),
        pytest.param(["flows/a.yaml", "flows"], id="file-in-the-folder-after"),
        pytest.param(["flows", "flows/sub"], id="folder-in-the-folder"),
        pytest.param(["flows", "link"], id="link-to-the-folder"),
    ],
)
def test_file_is_no_duplicate_of_itself(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that several of the given paths lead to is checked once."""
    (tmp_path / "flows" / "sub").mkdir(parents=True)
    (tmp_path / "flows" / "a.yaml").write_text(FLOW.format(name="a"))
    (tmp_path / "flows" / "sub" / "b.yaml").write_text(FLOW.format(name="b"))
    (tmp_path / "link.yaml").symlink_to("flows/a.yaml")
    (tmp_path / "link").symlink_to("flows")
    monkeypatch.chdir(tmp_path)
    report = validate([path.format(here=tmp_path) for path in paths])
    assert report.findings == ()
    assert report.flows == (1 if all(path.endswith(".yaml") for path in paths) else 2)


def test_finding_of_a_file_given_twice_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with it stands under the first of the given paths."""
    (tmp_path / "a.yaml").write_text("version: 1\n")
    monkeypatch.chdir(tmp_path)
    report = validate(["./a.yaml", "a.yaml"])
    assert {finding.file for finding in report.findings} == {"./a.yaml"}


def test_two_names_of_a_file_in_one_folder_are_two(tmp_path: Path) -> None:
    """The daemon reads both, and refuses both: so does the check."""
    (tmp_path / "a.yaml").write_text(FLOW.format(name="a"))
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    report = validate([str(tmp_path)])
    assert [finding.code for finding in report.findings] == ["FR311", "FR311"]


@pytest.mark.parametrize("paths", [[""], ["", "-"]])
def test_empty_path_is_an_error(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is not set names nothing, and above all not the current folder."""
    (tmp_path / "a.yaml").write_text(FLOW.format(name="a"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingPathError, match="an empty path"):
        validate(paths, stdin=b"")


def test_missing_path_is_an_error(tmp_path: Path) -> None:
    """A path that does not exist is the caller's mistake, not a finding."""
    with pytest.raises(MissingPathError, match="no such file"):
        validate([str(tmp_path / "nowhere")])


def test_name_of_a_flow_is_looked_for_in_whole_folders_only(tmp_path: Path) -> None:
    """A single file, as a hook of git gives it, may name a flow of a file that was not given."""
    file = tmp_path / "a.yaml"
    node = "{id: x, type: flow, params: {flow: b}}"
    file.write_text(f"version: 1\nname: a\nnodes: [{node}]\n")

    assert [finding.code for finding in validate([str(tmp_path)]).findings] == ["FR505"]
    assert validate([str(file)]).findings == ()
    assert validate(["-"], stdin=file.read_bytes()).findings == ()


def test_flows_are_read_with_their_schedules(tmp_path: Path) -> None:
    """What a folder defines is there by name, with the errors of the rest and no warnings."""
    timed = "triggers: [{type: schedule, cron: 30 2 * * *}]\n"  # without a zone: a warning
    (tmp_path / "b.yaml").write_text(FLOW.format(name="a") + timed)
    (tmp_path / "a.yaml").write_text(FLOW.format(name="b") + timed)
    (tmp_path / "bad.yaml").write_text("version: 1\n")
    read = read_flows([str(tmp_path)])
    assert [spec.key.name for spec in read.flows] == ["a", "b"]
    assert [len(spec.schedules) for spec in read.flows] == [1, 1]
    assert {finding.file for finding in read.findings} == {str(tmp_path / "bad.yaml")}
    assert all(finding.is_error for finding in read.findings)
    with pytest.raises(MissingPathError):
        read_flows([str(tmp_path / "gone.yaml")])
