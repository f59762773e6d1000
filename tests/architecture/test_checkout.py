"""What lies in the checkout, and what must not stand in its files."""

from __future__ import annotations

import re

from tests.architecture.checkout import ROOT, committed_files

TOP_LEVEL = {
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "benchmarks",
    "docs",
    "flowrunner",
    "flows",
    "monitoring",
    "pyproject.toml",
    "requirements.lock",
    "schemas",
    "systemd",
    "tests",
}

REGISTRY_HOST = re.compile(
    rb"\b(?:pypi|pythonhosted|npmjs|yarnpkg|crates|rubygems|proxy\.golang)\.(?:org|io|com)\b"
)


def test_top_level_names_are_the_known_ones() -> None:
    """Beside dot-files the checkout holds only the names that its reading page explains."""
    names = {path.parts[0] for path in committed_files()}

    strange = {name for name in names - TOP_LEVEL if not name.startswith(".")}
    assert not strange, f"new at the top of the checkout: {sorted(strange)}"


def test_no_file_names_a_package_registry() -> None:
    """No committed file names the host of a package registry: which one is a local choice."""
    naming = [
        str(path) for path in committed_files() if REGISTRY_HOST.search((ROOT / path).read_bytes())
    ]

    assert not naming, f"files that name a registry host: {naming}"
