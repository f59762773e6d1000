"""No file costs more than a moment and some memory, whatever was put into it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from tests.definitions.examples import FOLDER
from tests.definitions.hostile import hostile_files

MEMORY = 768 * 1024**2
"""Bytes of address space: the interpreter and the libraries take a third of it."""

CPU_S = 60
"""For all files together, which take a few seconds."""


@pytest.fixture(scope="module")
def seen() -> dict[str, tuple[int, str]]:
    """Returns what a process with little memory and time has found, by the name of the file."""
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))\n"
        f"resource.setrlimit(resource.RLIMIT_CPU, ({CPU_S}, {CPU_S}))\n"
        "from tests.definitions.hostile import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended after {lines[-1:]}: {done.stderr[-2000:]}"
    return {name: (count, first) for name, count, first in lines}


EXPECTED = {file.name: (file.first, file.most) for file in hostile_files()}


@pytest.mark.parametrize("name", EXPECTED)
def test_file_has_its_finding(name: str, seen: dict[str, tuple[int, str]]) -> None:
    """The first finding has its code and position; there are no more than are of use."""
    first, most = EXPECTED[name]
    count, found = seen[name]
    assert found == first
    assert count <= most


def test_memory_is_limited() -> None:
    """The limit that the other tests rely on ends a process that takes more."""
    code = f"x = b'x' * {MEMORY}"
    limits = (MEMORY, MEMORY)
    done = subprocess.run(
        [sys.executable, "-c", code],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MemoryError" in done.stderr
