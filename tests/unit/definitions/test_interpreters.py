"""Promises of `flowrunner.definitions.checks.interpreters`: which arguments are code."""

from __future__ import annotations

import pytest

from flowrunner.definitions.checks.interpreters import code_arguments

CODE = "CODE"
"""Marks in the cases below where an interpreter finds code; a word may begin with an option."""


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("sh -c CODE", id="shell"),
        pytest.param("/usr/bin/bash -c CODE name argument", id="path-and-arguments"),
        pytest.param("bash -ec CODE", id="bundle"),
        pytest.param("bash -ceu CODE", id="bundle-with-c-first"),
        pytest.param("bash -c -e CODE", id="option-behind-c"),
        pytest.param("bash -o pipefail -c CODE", id="option-with-value"),
        pytest.param("bash -euo pipefail -c CODE", id="bundle-with-value"),
        pytest.param("bash -ceuo pipefail CODE", id="bundle-with-c-and-value"),
        pytest.param("bash --norc --rcfile x -c CODE", id="long-options"),
        pytest.param("zsh -c CODE", id="zsh"),
        pytest.param("python3 -c CODE", id="python"),
        pytest.param("python3.12 -I -W error -X dev -c CODE x", id="python-with-version"),
        pytest.param("pypy3 -cCODE", id="attached"),
        pytest.param("python -Ic CODE", id="python-bundle"),
        pytest.param("perl -w -ne CODE file", id="perl"),
        pytest.param("perl -e CODE -e CODE", id="twice"),
        pytest.param("ruby -r json -e CODE", id="ruby"),
        pytest.param("node --require x --eval CODE", id="node"),
        pytest.param("node --eval=CODE", id="node-attached"),
        pytest.param("php -d a=b -r CODE", id="php"),
        pytest.param("awk CODE file", id="awk"),
        pytest.param("gawk -F : -v a=b CODE file", id="awk-with-options"),
        pytest.param("awk -F: CODE", id="awk-with-attached-option"),
        pytest.param("sed -n CODE file", id="sed"),
        pytest.param("sed -e CODE -e CODE file", id="sed-with-options"),
        pytest.param("sed --expression=CODE", id="sed-with-long-option"),
        pytest.param("su app -c CODE", id="su"),
        pytest.param("runuser -u app --command CODE", id="runuser"),
        pytest.param("psql -d orders -c CODE", id="psql"),
        pytest.param("psql orders --command=CODE", id="psql-attached"),
        pytest.param("mysql -u app orders -e CODE", id="mysql"),
        pytest.param("sudo -u app sh -c CODE", id="behind-sudo"),
        pytest.param("env A=b timeout 5 bash -c CODE", id="behind-two"),
        pytest.param("docker run --rm image python -c CODE", id="in-a-container"),
        pytest.param("sh -c CODE sh python -c CODE", id="two-interpreters"),
    ],
)
def test_code_is_found(line: str) -> None:
    """Each interpreter's own way of being told its code is known."""
    words = line.split()
    expected = {index for index, word in enumerate(words) if word.endswith(CODE)}

    assert code_arguments(words) == expected


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("sh deploy.sh -c x", id="script"),
        pytest.param("bash -x deploy.sh -e x", id="script-behind-option"),
        pytest.param("bash -o pipefail deploy.sh -c x", id="script-behind-value"),
        pytest.param("python3 tool.py -c x", id="python-script"),
        pytest.param("python3 -m tool -c x", id="python-module"),
        pytest.param("perl -w script.pl -e x", id="perl-script"),
        pytest.param("node -r x server.js -e x", id="node-script"),
        pytest.param("awk -f program.awk file", id="awk-file"),
        pytest.param("sed -f program.sed file", id="sed-file"),
        pytest.param("apt-get install awk x", id="awk-is-an-argument"),
        pytest.param("rsync -e ssh a b", id="other-program"),
        pytest.param("grep -c x", id="count"),
        pytest.param("psql -f file.sql", id="psql-file"),
        pytest.param("sh", id="alone"),
        pytest.param("sh -c", id="nothing-behind"),
        pytest.param("python3 -c", id="nothing-behind-python"),
        pytest.param("bash -o", id="no-value"),
        pytest.param("sh -", id="standard-input"),
        pytest.param("", id="empty"),
    ],
)
def test_data_is_no_code(line: str) -> None:
    """Arguments of a script or of another program stay free for data."""
    assert code_arguments(line.split()) == frozenset()


def test_numbers_and_empty_words_are_words() -> None:
    """An argv may hold numbers and empty texts."""
    assert code_arguments([5, "", 1.5, "sh", "-c", 7]) == {5}


def test_many_interpreters_are_no_burden() -> None:
    """The search is linear even where each word could begin another search."""
    assert code_arguments(["psql"] * 30_000) == frozenset()
    assert code_arguments(["sh", "-o"] * 30_000) == frozenset()
