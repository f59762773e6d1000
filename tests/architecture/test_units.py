"""The unit file is accepted by systemd and keeps its degree of hardening."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.checkout import ROOT

SYSTEMD = ROOT / "systemd"
INSTALLED_PROGRAM = "/opt/flowrunner/bin/flowrunner"
WORST_EXPOSURE = 20
"""In tenths: 2.0 on the scale of systemd-analyze, which calls a bare unit 9.2."""

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


@pytest.mark.parametrize("profile", ["hardened", "relaxed", "privileged"])
def test_unit_is_accepted(profile: str, tmp_path: Path) -> None:
    """The unit, alone and with each drop-in, is read without a complaint."""
    unit = _unit_with_existing_program(tmp_path)
    if profile != "hardened":
        _add_drop_in(unit, profile)

    verified = _analyze("verify", "--man=no", str(unit))

    assert verified.returncode == 0, verified.stderr
    assert "flowrunner" not in verified.stderr


def test_unit_may_run_as_root(tmp_path: Path) -> None:
    """The privileged drop-in with its lines for nodes with `user` is read without a complaint."""
    unit = _unit_with_existing_program(tmp_path)
    _add_drop_in(unit, "privileged")
    drop_in = unit.with_name(f"{unit.name}.d") / "privileged.conf"
    text = drop_in.read_text(encoding="utf-8")
    assert text.count("\n#User=root\n#Group=root\n") == 1
    drop_in.write_text(text.replace("#User=", "User=").replace("#Group=", "Group="), "utf-8")

    verified = _analyze("verify", "--man=no", str(unit))

    assert verified.returncode == 0, verified.stderr
    assert "flowrunner" not in verified.stderr


def test_unit_is_hardened(tmp_path: Path) -> None:
    """The exposure that systemd computes for the unit is at most 2.0."""
    unit = _unit_with_existing_program(tmp_path)

    judged = _analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={WORST_EXPOSURE}", str(unit)
    )

    assert judged.returncode == 0, judged.stdout + judged.stderr


def _unit_with_existing_program(folder: Path) -> Path:
    """Copy the unit with a program that exists here, or its absence would be the complaint."""
    text = (SYSTEMD / "flowrunner.service").read_text(encoding="utf-8")
    assert INSTALLED_PROGRAM in text
    assert f"{INSTALLED_PROGRAM} reload --wait" in text
    unit = folder / "flowrunner.service"
    unit.write_text(text.replace(INSTALLED_PROGRAM, "/bin/true"), encoding="utf-8")
    return unit


def _add_drop_in(unit: Path, profile: str) -> None:
    folder = unit.with_name(f"{unit.name}.d")
    folder.mkdir()
    shutil.copy(SYSTEMD / folder.name / f"{profile}.conf.example", folder / f"{profile}.conf")


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
