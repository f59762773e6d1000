"""`_defaults.yaml` without a daemon: validating folders and files, and running a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.daemon.local_run import run_local
from flowrunner.daemon.offline import validate

FLOW = "version: 1\nname: {name}\nnodes: [{{id: a, type: noop}}]\n"
BROKEN = "evn: {}\n"
ASKS = "env: {DAY: '${{ inputs.day }}'}\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of flows two levels deep below the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("flows/a.yaml", "flows/team/b.yaml", "flows/team/c.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FLOW.format(name=path.stem))
    return tmp_path


def told(*paths: str) -> list[tuple[str, int, str]]:
    """Returns file, line and code of what is found."""
    return [(f.file, f.line, f.code) for f in validate(paths).findings]


def test_folder_tells_broken_defaults_once(root: Path) -> None:
    """Not once for each flow below, and under a path that can be opened from here."""
    (root / "flows/team/_defaults.yaml").write_text(BROKEN)
    assert told("flows") == [("flows/team/_defaults.yaml", 1, "FR201")]
    assert validate(["flows"]).flows == 1


def test_folder_tells_once_what_no_flow_has(root: Path) -> None:
    """A misspelt member is a mistake of the defaults, and not of each flow below them."""
    (root / "flows/team/_defaults.yaml").write_text("env: {NAME: '${{ flow.nme }}'}\n")
    assert told("flows") == [("flows/team/_defaults.yaml", 1, "FR402")]
    assert validate(["flows"]).flows == 1


def test_folder_tells_broken_defaults_without_flows(root: Path) -> None:
    """A mistake is told before somebody adds the flow that it keeps out."""
    (root / "flows/new").mkdir()
    (root / "flows/new/_defaults.yaml").write_text(BROKEN)
    assert told("flows") == [("flows/new/_defaults.yaml", 1, "FR201")]


def test_folder_is_a_root(root: Path) -> None:
    """Defaults above a folder that is given do not count, as for a daemon with that folder."""
    (root / "flows/_defaults.yaml").write_text(BROKEN)
    assert told("flows/team") == []


def test_file_has_the_defaults_up_to_the_current_folder(root: Path) -> None:
    """Outside a checkout: those of the current folder and of every folder on the way."""
    (root / "_defaults.yaml").write_text(ASKS)
    (root / "flows/team/_defaults.yaml").write_text(BROKEN)
    assert told("flows/a.yaml") == [("_defaults.yaml", 1, "FR402")]
    assert told("flows/team/b.yaml") == [("flows/team/_defaults.yaml", 1, "FR201")]


def test_file_has_the_defaults_up_to_the_top_of_its_checkout(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a git checkout it does not matter from where the command is called."""
    (root / "_defaults.yaml").write_text(BROKEN)
    (root / "flows/.git").mkdir()
    (root / "flows/_defaults.yaml").write_text(ASKS)
    assert told("flows/team/b.yaml") == [("flows/_defaults.yaml", 1, "FR402")]
    monkeypatch.chdir(root / "flows/team")
    assert told("b.yaml") == [("../_defaults.yaml", 1, "FR402")]


def test_file_elsewhere_has_the_defaults_of_its_folder_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that somebody put above, as in /tmp, gets into a flow."""
    (root / "work").mkdir()
    (root / "flows/_defaults.yaml").write_text(BROKEN)
    (root / "flows/team/_defaults.yaml").write_text(ASKS)
    monkeypatch.chdir(root / "work")
    defaults = root / "flows/team/_defaults.yaml"
    assert told(str(root / "flows/team/b.yaml")) == [(str(defaults), 1, "FR402")]


def test_files_below_one_broken_file_tell_it_once(root: Path) -> None:
    """A hook before a commit gives the files that changed, the defaults among them."""
    (root / "flows/team/_defaults.yaml").write_text(BROKEN)
    paths = ("flows/team/_defaults.yaml", "flows/team/b.yaml", "flows/team/c.yaml", "flows")
    assert told(*paths[:3]) == [("flows/team/_defaults.yaml", 1, "FR201")]
    assert told(paths[0]) == [("flows/team/_defaults.yaml", 1, "FR201")]


def test_good_defaults_are_no_flow(root: Path) -> None:
    """Given by itself a good file has no findings and counts as no flow."""
    (root / "flows/_defaults.yaml").write_text("env: {A: b}\n")
    report = validate(["flows/_defaults.yaml"])
    assert (report.findings, report.flows) == ((), 0)


def test_run_of_a_file_has_the_defaults_above_it(root: Path) -> None:
    """What is tried by hand is what the daemon would run."""
    (root / "_defaults.yaml").write_text("env: {WORD: root, OTHER: root}\n")
    (root / "flows/_defaults.yaml").write_text("env: {WORD: folder}\n")
    path = root / "flows/a.yaml"
    path.write_text("version: 1\nname: a\nnodes: [{id: say, run: 'echo $WORD $OTHER'}]\n")
    lines: list[str] = []
    assert run_local(path, {}, lines.append).state == "succeeded"
    assert lines == ["say: folder root"]
