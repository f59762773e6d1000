"""Programs are judged as the system would, before a shell becomes them."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from flowrunner.system.program_file import check_program


def write(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("content", "mode", "number"),
    [
        pytest.param(b"#!/bin/sh\n", 0o755, None, id="script"),
        pytest.param(b"#! /bin/sh -e\n", 0o755, None, id="script-with-option"),
        pytest.param(b"\x7fELF\0\0", 0o755, None, id="binary"),
        pytest.param(b"#!/no/such\n", 0o755, errno.ENOENT, id="interpreter-missing"),
        pytest.param(b"#!\n", 0o755, errno.ENOEXEC, id="interpreter-not-named"),
        pytest.param(b"echo hello\n", 0o755, errno.ENOEXEC, id="no-first-line"),
        pytest.param(b"", 0o755, errno.ENOEXEC, id="empty"),
        pytest.param(b"#!/bin/sh\n", 0o644, errno.EACCES, id="not-executable"),
    ],
)
@pytest.mark.parametrize("name", ["tool", "./bin/tool"], ids=["on-path", "by-path"])
def test_file_is_judged_as_the_system_does(
    tmp_path: Path, name: str, content: bytes, mode: int, number: int | None
) -> None:
    """The error is that of execve(2), and names the program as the flow does."""
    write(tmp_path / "bin" / "tool", content, mode)
    environment = {"PATH": f"/no/such:{tmp_path}/bin"}
    if number is None:
        check_program(name, environment, tmp_path)
        return
    with pytest.raises(OSError, match=re.escape(name)) as caught:
        check_program(name, environment, tmp_path)
    assert (caught.value.errno, caught.value.filename) == (number, name)


@pytest.mark.parametrize("name", ["nothing", "./nothing", "/etc/passwd/x"])
def test_missing_program_is_missing(tmp_path: Path, name: str) -> None:
    """Nowhere on the path, or not where it is said to be."""
    with pytest.raises(OSError, match=re.escape(name)) as caught:
        check_program(name, {"PATH": "/usr/bin:/bin"}, tmp_path)
    assert caught.value.errno in (errno.ENOENT, errno.ENOTDIR)


def test_folder_is_no_program(tmp_path: Path) -> None:
    """A folder may be entered, not run."""
    with pytest.raises(PermissionError):
        check_program("./.", {}, tmp_path)


def test_search_goes_on_after_one_that_may_not_be_run(tmp_path: Path) -> None:
    """A file without permission hides no program further down the path. Source: execvp(3)."""
    write(tmp_path / "one" / "tool", b"#!/bin/sh\n", 0o644)
    write(tmp_path / "two" / "tool", b"#!/bin/sh\n")
    check_program("tool", {"PATH": f"{tmp_path}/one:{tmp_path}/two"}, tmp_path)


def test_path_of_the_system_counts_where_the_flow_has_none(tmp_path: Path) -> None:
    """As for a program that is started without a shell."""
    check_program("sh", {}, tmp_path)
