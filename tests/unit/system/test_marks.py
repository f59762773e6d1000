"""The mark of an attempt: what carries it, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.system.marks import Mark, mark_in, mark_of

WHOLE = {"EXECUTION_ID": "x", "NODE_ID": "a", "ATTEMPT": "2", "WORK_DIR": "/state/work/x/files"}
MARK = Mark(execution="x", node="a", attempt="2", work="/state/work/x/files")


def write_environ(proc: Path, data: bytes) -> None:
    (proc / "7").mkdir()
    (proc / "7" / "environ").write_bytes(data)


def test_environment_of_an_attempt_is_marked() -> None:
    """The four variables make the mark; others do not matter."""
    assert mark_in({**WHOLE, "HOME": "/"}) == MARK
    assert MARK.text == "x.a.2"


@pytest.mark.parametrize("name", list(WHOLE))
def test_mark_that_is_not_whole_is_none(name: str) -> None:
    """To be killed for, a process must carry all of it."""
    assert mark_in({key: value for key, value in WHOLE.items() if key != name}) is None


def test_mark_is_read_from_a_process(tmp_path: Path) -> None:
    """Values may hold equals signs, and bytes that are no text."""
    pairs = [f"{name}={value}".encode() for name, value in WHOLE.items()]
    write_environ(tmp_path, b"\0".join([b"V=\xff=NODE_ID=b", *pairs, b""]))
    assert mark_of(7, tmp_path) == MARK


def test_process_that_cannot_be_read_has_no_mark(tmp_path: Path) -> None:
    """It has ended, or is another user's."""
    assert mark_of(7, tmp_path) is None
