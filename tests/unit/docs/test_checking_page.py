"""What docs/checking.md tells people to type is what the command takes."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from flowrunner.cli.commands.validate import FORMATS
from flowrunner.cli.main import parse
from tests.unit.docs.pages import code_spans, read, rows, section, yaml_examples

PAGE = read("docs/checking.md")
COMMANDS = sorted(set(re.findall(r"flowrunner (?:validate|schema)\b[^\n`#<>|]*", PAGE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_exist(command: str) -> None:
    """Each command line of the page is one that can be typed."""
    words = shlex.split(command)[1:]
    assert parse(words).command == words[0]


def test_page_has_commands() -> None:
    """The pattern above finds the commands that the page is about."""
    assert "flowrunner validate --format github flows" in COMMANDS
    assert len(COMMANDS) >= 8


def test_table_of_formats_is_complete() -> None:
    """Every format has its row."""
    table = [row for row in rows(section(PAGE, "## The command")) if row[0].startswith("`")]
    assert {code_spans(row[0])[0] for row in table} == set(FORMATS)


@pytest.mark.parametrize("number", range(len(yaml_examples(PAGE))))
def test_yaml_of_the_page_is_yaml(number: int) -> None:
    """What is to be copied into other tools can be read by them."""
    yaml.safe_load(yaml_examples(PAGE)[number])
