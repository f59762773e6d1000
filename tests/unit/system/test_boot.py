"""Promises of `flowrunner.system.boot`."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.system.boot import boot_id
from flowrunner.system.files import LocalFiles
from tests.fakes.files import FakeFiles

PLACE = Path("/proc/sys/kernel/random/boot_id")


def test_boot_is_what_the_kernel_says() -> None:
    """The id is the kernel's, the same as long as the host is up, without the line's end."""
    found = boot_id(LocalFiles())

    assert found == PLACE.read_text(encoding="ascii").strip()
    assert boot_id(LocalFiles()) == found


@pytest.mark.parametrize("content", [b"", b"\n"], ids=["empty", "blank"])
def test_boot_without_a_name_is_an_error(content: bytes) -> None:
    """A kernel that says nothing is not taken for one that says the same each time."""
    files = FakeFiles()
    files.replace(PLACE, content)

    with pytest.raises(OSError, match="boot_id"):
        boot_id(files)
