"""Findings reach GitHub whole, and nothing in them can become another command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flowrunner.cli.report_github import render_github
from flowrunner.model.finding import Finding, Severity

FINDING = Finding(file="flows/a.yaml", line=3, column=5, code="FR201", message="unknown key")


def test_finding_is_a_command_with_its_place() -> None:
    """File, line, column and code are properties, message and hint are the text."""
    finding = replace(FINDING, hint="did you mean 'name'?")
    assert render_github([finding]) == (
        "::error file=flows/a.yaml,line=3,col=5,title=FR201::"
        "unknown key%0Ahint: did you mean 'name'?"
    )


def test_warning_is_a_warning() -> None:
    """The severity is the command."""
    assert render_github([replace(FINDING, severity=Severity.WARNING)]).startswith("::warning ")


def test_finding_about_a_whole_file_has_no_line() -> None:
    """Where there is no position none is made up."""
    finding = replace(FINDING, line=0, column=0)
    assert render_github([finding]) == "::error file=flows/a.yaml,title=FR201::unknown key"


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        pytest.param("a:b,c.yaml", "a%3Ab%2Cc.yaml", id="separators"),
        pytest.param("100%.yaml", "100%25.yaml", id="percent"),
        pytest.param("a\r\n::error::b.yaml", "a%0D%0A%3A%3Aerror%3A%3Ab.yaml", id="lines"),
        pytest.param("a\x1b[2J.yaml", "a\\x1b[2J.yaml", id="control"),
        pytest.param("./flows//a.yaml", "flows/a.yaml", id="as-git-names-it"),
    ],
)
def test_name_of_a_file_is_escaped(file: str, shown: str) -> None:
    """Whatever a file is called, it stays one property on one line."""
    text = render_github([replace(FINDING, file=file)])
    assert text == f"::error file={shown},line=3,col=5,title=FR201::unknown key"


def test_message_is_escaped() -> None:
    """A message may hold separators of properties; per cent and line breaks are escaped."""
    finding = replace(FINDING, message="50%: a,\n::warning::b")
    assert render_github([finding]).endswith("::50%25: a,%0A::warning::b")
    assert "\n" not in render_github([finding])


def test_no_findings_are_no_commands() -> None:
    """Nothing found, nothing said."""
    assert render_github([]) == ""
