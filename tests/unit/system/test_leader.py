"""The quick way to start a program starts the same one as `subprocess` does, or nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.system.leader import Leaders, QuickSpawn, Streams, reap

ENV = {"PATH": "/usr/bin:/bin"}
TELL = """
while read -r key value; do
  case $key in SigBlk: | SigIgn: | SigCgt:) echo "$key $value" ;; esac
done < /proc/$$/status
tr '\\0' '\\n' < /proc/$$/environ; echo; tr '\\0' '\\n' < /proc/$$/cmdline; echo; pwd -P
umask
for fd in /proc/$$/fd/*; do [ -e "$fd" ] && echo "${fd##*/}"; done
read -r _ _ _ _ group session _ < /proc/$$/stat; [ $group = $$ ] && [ $session = $$ ] && echo own
"""
"""A shell tells variables, words, folder, signals, mask, descriptors, and whose session it is."""

LIBC_SIGNALS = 0b11 << 31
"""Signals 32 and 33, which are the libc's own: a program that it starts may ignore them.

So may this one, when make has started it, and then what `subprocess` starts inherits it.
"""

texts = st.text(
    st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_characters="\0"), max_size=8
)
names = st.from_regex(r"[A-Z][A-Z0-9_]{0,6}", fullmatch=True).filter(lambda name: name != "PWD")


@pytest.fixture(name="nothing", scope="module")
def open_nothing() -> Iterator[int]:
    fd = os.open(os.devnull, os.O_RDWR)
    yield fd
    os.close(fd)


def told_by_popen(words: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: int) -> bytes:
    """Returns what a program prints that `subprocess` starts."""
    with subprocess.Popen(
        words,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as popen:
        return popen.communicate()[0]


def told_quickly(words: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: int) -> bytes:
    """Returns what a program prints that is started the quick way."""
    reading, writing = os.pipe()
    with ExitStack() as always, os.fdopen(reading, "rb") as output:
        always.callback(os.close, writing)
        pid = QuickSpawn().start(words, env, str(cwd), Streams(stdin, writing, writing))
        assert pid is not None
        always.pop_all().close()
        told = output.read()
    reap(pid)
    return told


def of_programs(told: bytes) -> bytes:
    """Returns what was told, without the signals that are the libc's own."""
    ignored = re.compile(rb"(?<=SigIgn: )[0-9a-f]{16}")
    return ignored.sub(lambda found: b"%016x" % (int(found[0], 16) & ~LIBC_SIGNALS), told)


def refused(words: Sequence[str], env: Mapping[str, str], cwd: Path, nothing: int) -> bool:
    """Whether the quick way starts nothing."""
    return QuickSpawn().start(words, env, str(cwd), Streams(nothing, nothing, nothing)) is None


@settings(max_examples=25, deadline=None)
@given(words=st.lists(texts, max_size=3), env=st.dictionaries(names, texts, max_size=4))
def test_both_ways_start_the_same_program(
    nothing: int, words: list[str], env: dict[str, str]
) -> None:
    """Variables, words, folder, signals, descriptors and session are those `subprocess` gives."""
    command = ("/bin/sh", "-c", TELL, "name", *words)
    asked = (command, {**env, **ENV}, Path("/usr"), nothing)

    told = told_quickly(*asked)

    assert of_programs(told) == of_programs(told_by_popen(*asked))
    assert told.endswith(b"0\n1\n2\nown\n")


@pytest.mark.parametrize(
    ("words", "env", "cwd"),
    [
        pytest.param(["sh", "-c", "true"], ENV, "/", id="to-be-looked-for"),
        pytest.param(["/bin/none-of-that-name"], ENV, "/", id="missing"),
        pytest.param(["/etc/passwd"], ENV, "/", id="no-program"),
        pytest.param(["/bin/true"], ENV, "/none-of-that-name", id="no-folder"),
        pytest.param(["/bin/true", "a\0b"], ENV, "/", id="NUL-in-a-word"),
        pytest.param(["/bin/true"], {"A": "b\0c"}, "/", id="NUL-in-a-value"),
        pytest.param(["/bin/true"], {"A=B": "c"}, "/", id="equals-sign-in-a-name"),
        pytest.param(["/bin/true"], ENV, "/\0", id="NUL-in-the-folder"),
    ],
)
def test_what_it_is_not_made_for_is_not_started_the_quick_way(
    nothing: int, words: list[str], env: dict[str, str], cwd: str
) -> None:
    """Nothing is started, so that `subprocess` finds the program or says why there is none."""
    assert refused(words, env, Path(cwd), nothing)


def test_low_descriptors_are_left_to_subprocess() -> None:
    """One that stands where a stream of the program belongs would be closed before it is used."""
    assert refused(["/bin/true"], ENV, Path("/"), 2)


def test_a_program_without_a_slash_is_looked_for(nothing: int, tmp_path: Path) -> None:
    """It is found in the `PATH` of its own environment."""
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o700)

    streams = Streams(nothing, nothing, nothing)
    pid = Leaders().start(("mine",), {"PATH": str(tmp_path)}, tmp_path, streams)

    ended = os.waitid(os.P_PID, pid, os.WEXITED)
    assert ended is not None
    assert ended.si_status == 7
