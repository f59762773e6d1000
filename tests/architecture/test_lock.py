"""The lock file pins everything that pyproject.toml asks for, and tells nothing of a machine."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.checkout import ROOT

LINE = re.compile(
    r"""
      (?P<name>[a-z0-9-]+) == (?P<version>[0-9][0-9a-z.]*)(?:\ ;\ [^/]+)?\ \\  # a pin
    | \ {4} --hash=sha256:[0-9a-f]{64} (?:\ \\)?                               # one of its files
    | \# [^/]*                                                                 # a remark
    |                                                                          # nothing
    """,
    re.VERBOSE,
)

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


def test_lock_holds_pins_and_hashes_only() -> None:
    """The lock file has no index address, no file path and no pin without a version."""
    strange = [line for line in LOCK if not LINE.fullmatch(line)]

    assert not strange


def test_lock_satisfies_pyproject() -> None:
    """Every dependency of pyproject.toml is pinned to a version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    pins = {m["name"]: m["version"] for m in map(LINE.fullmatch, LOCK) if m and m["name"]}

    unmet = [
        text
        for text in asked
        if not (need := Requirement(text)).specifier.contains(
            pins.get(canonicalize_name(need.name), "0"), prereleases=True
        )
    ]
    assert not unmet, f"run `make lock`, it does not hold: {unmet}"
