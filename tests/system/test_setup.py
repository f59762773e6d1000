"""Making `.venv`: two `make` at once in a fresh checkout do not get into each other's way."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, eventually

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).parents[2]
PYTHON = """\
#!/bin/sh
echo "$@" >>calls
[ "$2" != venv ] || { mkdir -p .venv/bin && cp "$0" .venv/bin/python; }
"""
"""Notes how it is called; `-m venv` makes an environment with itself."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make setup` needs, with a Python that installs nothing."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".make").mkdir()
    shutil.copy(CHECKOUT / ".make" / "venv", tmp_path / ".make" / "venv")
    for name, text in (("fake", PYTHON), (".make/python", '#!/bin/sh\necho "$PWD/fake"\n')):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make_setup(checkout: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["make", "setup"], cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def ended(making: subprocess.Popen[bytes]) -> None:
    output, _ = making.communicate(timeout=PATIENCE_S)
    assert making.returncode == 0, output


def calls(checkout: Path) -> list[str]:
    """The Python modules that were called."""
    path = checkout / "calls"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.split()[1] for line in lines]


def someone_waits_for(path: Path) -> bool:
    """Whether the kernel knows of a process that waits for the lock. Source: proc(5)."""
    inode = f":{path.stat().st_ino}"
    locks = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    return any("->" in line and inode in line for line in locks)


def test_environment_is_made_once_and_again_when_it_is_old(checkout: Path) -> None:
    """`make setup` installs, and a second one does so only when the lock file is newer."""
    ended(make_setup(checkout))
    assert calls(checkout) == ["venv", "pip", "pip"]
    ended(make_setup(checkout))
    assert calls(checkout) == ["venv", "pip", "pip"]
    newer = (checkout / ".venv" / ".installed").stat().st_mtime + 1
    os.utime(checkout / "requirements.lock", (newer, newer))
    ended(make_setup(checkout))
    assert calls(checkout) == ["venv", "pip", "pip", "pip", "pip"]


def test_make_waits_for_the_one_that_was_first(checkout: Path) -> None:
    """Who finds another one at work waits for it, and does not do the work again."""
    with (checkout / "Makefile").open("rb") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        second = make_setup(checkout)
        eventually(lambda: someone_waits_for(checkout / "Makefile"), lambda: calls(checkout))
        (checkout / ".venv").mkdir()
        (checkout / ".venv" / ".installed").touch()
    ended(second)
    assert calls(checkout) == []
