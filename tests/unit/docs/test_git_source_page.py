"""What docs/git-source.md tells people to write is what the daemon takes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import get_args

import pytest

from flowrunner.cli.main import parse
from flowrunner.config.git_settings import SourceWebhookType
from flowrunner.config.loader import load_settings
from flowrunner.daemon.offline import read_settings_yaml
from flowrunner.reconcile.upstream.checkouts import MOST_BYTES, MOST_FILES
from flowrunner.reconcile.upstream.source import LEAST_APART_S, LONGEST_WAIT_S
from flowrunner.triggers.source_hook import PATH
from tests.unit.docs.pages import code_spans, examples, read, yaml_examples

PAGE = read("docs/git-source.md")


@pytest.mark.parametrize("example", yaml_examples(PAGE))
def test_settings_of_the_page_are_valid(example: str, tmp_path: Path) -> None:
    """Each settings file of the page can be used as it is."""
    file = tmp_path / "flowrunner.yaml"
    file.write_text(example)
    loaded = load_settings(
        file=file, environment={}, flags={}, folder=tmp_path, read_yaml=read_settings_yaml
    )
    assert loaded.settings.source.git.url is not None


def test_commands_of_the_page_are_known() -> None:
    """Each command of the page is one that the command line takes."""
    lines = [line for example in examples(PAGE, "sh") for line in example.splitlines()]
    assert [parse(shlex.split(line)[1:]).action for line in lines] == [
        "history",
        "rollback",
        "unpin",
    ]


def test_numbers_of_the_page_are_those_of_the_code() -> None:
    """Bounds that the page names are the ones in force."""
    assert f"more than {MOST_FILES:,} files or {MOST_BYTES // 1024**3} GiB" in PAGE
    assert f"every {LONGEST_WAIT_S / 60:.0f}\nminutes" in PAGE
    assert f"at least {LEAST_APART_S:.0f} seconds apart" in PAGE
    assert f"`POST /hooks/{PATH}`" in PAGE


def test_page_names_every_server() -> None:
    """Each type of call is named, and none that does not exist."""
    kinds = set(get_args(SourceWebhookType)) - {"off"}
    (line,) = [line for line in PAGE.splitlines() if line.startswith("`type` is")]
    assert set(code_spans(line)) - {"type"} == kinds
