"""The checkout as the rules of the house see it: which files are ours and how to read them."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def committed_files() -> list[Path]:
    """List what git holds or would take in with the next commit, relative to `ROOT`.

    Skips the test where there is no git checkout, as in an unpacked source archive.
    """
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a git checkout")
    command = [git, "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(
        [*command, "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = {Path(name) for name in listed.split("\0") if name}
    return sorted(path for path in paths if (ROOT / path).is_file())


def python_files(folder: str, pattern: str = "*.py") -> list[Path]:
    """List the Python files below a folder of the checkout."""
    return sorted((ROOT / folder).rglob(pattern))


def functions(path: Path) -> Iterator[FunctionNode]:
    """Yield every function of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, FunctionNode):
            yield node


def place(path: Path, line: int) -> str:
    """Name a line as an editor opens it."""
    return f"{path.relative_to(ROOT)}:{line}"
