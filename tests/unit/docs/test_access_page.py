"""docs/access.md against the code: its settings load, scopes and numbers are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.config.loader import load_settings
from flowrunner.config.settings import Settings
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.access import TokenScope
from flowrunner.web.callers import FAILURES, FAILURES_PERIOD_S
from tests.unit.docs.pages import code_spans, read, rows, section, yaml_examples

PAGE = read("docs/access.md")
TOKENS, *OTHERS = yaml_examples(PAGE)


@pytest.mark.parametrize("example", OTHERS)
def test_settings_of_the_page_are_valid(example: str, tmp_path: Path) -> None:
    """Each example loads together with the tokens that stand before it."""
    file = tmp_path / "settings.yaml"
    file.write_text(TOKENS + example)

    loaded = load_settings(
        file=file, environment={}, flags={}, folder=tmp_path, read_yaml=read_yaml
    )

    assert [token.name for token in loaded.settings.auth.tokens] == ["dashboard", "prometheus"]
    assert loaded.settings.server != Settings().server


def test_page_has_an_example_of_each_part_of_the_server() -> None:
    """Listening, TLS and proxies are shown."""
    assert [
        word
        for word in ("listen:", "unix:/", "tls:", "trusted_proxies:")
        if word not in "".join(OTHERS)
    ] == []


def test_table_of_scopes_is_complete() -> None:
    """Every scope is explained, and none that does not exist."""
    named = [code_spans(row[0])[0] for row in rows(section(PAGE, "## Tokens"))]

    assert named == ["read", "data", "metrics"]
    assert set(named) == {str(scope) for scope in TokenScope}


def test_number_of_wrong_tokens_is_that_of_the_code() -> None:
    """What the page says of wrong tokens is what is counted."""
    assert f"After {FAILURES} wrong tokens in a minute" in PAGE
    assert FAILURES_PERIOD_S == 60.0
