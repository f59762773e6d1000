"""A delegated cgroup for a daemon under test, as the unit of systemd gives it one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowrunner.system.cgroup import PROCS, Cgroup
from tests.system.daemon import COMMAND, Program

_PLACES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_GONE_S = 10.0


@contextmanager
def delegated_cgroup() -> Iterator[Path]:
    """Makes a cgroup and marks it as systemd does; everything in it is killed at the end.

    Skips the test where no cgroup of version 2 can be made, as for an ordinary user.
    """
    base = _make_group()
    try:
        os.setxattr(base, "user.delegate", b"1")
        yield base
    finally:
        group = Cgroup(base)
        group.kill()
        assert group.wait_empty(_GONE_S)
        group.remove()


def program_within(base: Path) -> Program:
    """Returns what runs `flowrunner` in a cgroup."""
    return ("/bin/sh", "-c", 'echo 0 >"$0" && exec "$@"', str(base / PROCS), COMMAND)


def _make_group() -> Path:
    for place in _PLACES:
        base = place / f"flowrunner-test-{os.getpid()}-{secrets.token_hex(4)}"
        if not (place / PROCS).exists():
            continue
        try:
            base.mkdir()
        except OSError as error:
            pytest.skip(f"no cgroup can be made: {error}")
        return base
    pytest.skip("there is no cgroup of version 2")
