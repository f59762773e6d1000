"""`validate` is a check: it starts no process and speaks to nobody, whatever the files say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.definitions.examples import FOLDER

ROOT = FOLDER.parents[1]

WATCHED = """\
import sys

FORBIDDEN = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn",
    "socket.__new__", "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendto",
    "subprocess.Popen",
}

def watch(event, given):
    if event in FORBIDDEN:
        print("FORBIDDEN", event, given, file=sys.stderr, flush=True)
        import os
        os._exit(99)

sys.addaudithook(watch)
from flowrunner.cli.main import main
"""


def watched(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python code under the watch, with caches in a folder."""
    return subprocess.run(
        [sys.executable, "-c", WATCHED + code],
        env={"HOME": str(folder), "FLOWRUNNER_SECRET_TOKEN": "hidden-value"},
        cwd=ROOT,
        input="",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os; os.fork()",
        "import socket; socket.socket()",
    ],
)
def test_watch_notices(code: str, tmp_path: Path) -> None:
    """Each way to start a process or to open a socket ends the watched program."""
    done = watched(code, tmp_path)
    assert done.returncode == 99
    assert "FORBIDDEN" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", id="text"),
        pytest.param("--format json --no-cache", id="json"),
        pytest.param("--format github --strict", id="github"),
        pytest.param("--format sarif", id="sarif"),
        pytest.param("--settings {settings}", id="settings"),
    ],
)
def test_nothing_is_started_and_nobody_is_spoken_to(options: str, tmp_path: Path) -> None:
    """Over all good and bad files, twice, so that the cache is written and read."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("{}\n")
    given = f"validate {options.format(settings=settings)} tests/definitions flows -".split()
    done = watched(f"main({given!r}); sys.exit(main({given!r}))", tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert "hidden-value" not in done.stdout
