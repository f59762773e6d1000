"""The tables of ARCHITECTURE.md and CONTRIBUTING.md point at files that exist."""

from __future__ import annotations

import re

import pytest

from tests.architecture.checkout import ROOT

IN_BACKTICKS = re.compile(r"`([^`\s]+)`")
PATH_SHAPE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*/?")
FILE_SUFFIXES = (".json", ".lock", ".md", ".py", ".service", ".sql", ".toml", ".yaml", ".yml")


@pytest.mark.parametrize(("page", "fewest"), [("ARCHITECTURE.md", 60), ("CONTRIBUTING.md", 5)])
def test_every_path_in_the_tables_exists(page: str, fewest: int) -> None:
    """Each path in a table resolves, from the top of the checkout or from flowrunner/."""
    paths = _paths_in_tables((ROOT / page).read_text(encoding="utf-8"))

    assert len(paths) >= fewest, "the tables, or this reader of them, have changed shape"
    missing = sorted(path for path in paths if not _exists(path))
    assert not missing, f"{page} points at what is not there: {missing}"


def _paths_in_tables(text: str) -> set[str]:
    rows = [line for line in text.splitlines() if line.lstrip().startswith("|")]
    tokens = {token for row in rows for token in IN_BACKTICKS.findall(row)}
    return {token for token in tokens if _is_path(token)}


def _is_path(token: str) -> bool:
    """Tell a path from a dotted name, an HTTP path or a setting."""
    if not PATH_SHAPE.fullmatch(token):
        return False
    if token.endswith(("/", *FILE_SUFFIXES)):
        return True
    first, slash, _ = token.partition("/")
    return bool(slash) and _exists(first)


def _exists(path: str) -> bool:
    """Resolve a path; a star stands for names."""
    pattern = path.rstrip("/")
    return any(True for base in (ROOT, ROOT / "flowrunner") for _ in base.glob(pattern))


def test_decisions_are_in_the_order_of_their_dates() -> None:
    """Whoever reads the decisions meets the newest ones last."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Decisions")[2]
    dates = re.findall(r"^- ([0-9-]{10}):", text, flags=re.MULTILINE)

    assert len(dates) >= 20
    assert dates == sorted(dates)
