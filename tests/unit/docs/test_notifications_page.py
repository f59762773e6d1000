"""`docs/notifications.md`: its examples are valid, and it names every channel, key and word."""

from __future__ import annotations

import re
from pathlib import Path

from flowrunner.config.channel_kinds import TYPES
from flowrunner.config.loader import load_settings
from flowrunner.definitions.yaml_reader import read_yaml
from flowrunner.model.notify import RULE_WORDS, NotifyOn
from flowrunner.notify.line import MOST_WAITING
from flowrunner.telemetry.metrics_notify import RESULTS
from tests.fakes.nodes import builtin_compiler

PAGE = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()
FLOW, SETTINGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_flow_is_valid() -> None:
    """The rules of the page are those of a flow without findings."""
    found = builtin_compiler().read(FLOW.encode(), file="a.yaml", account="default")
    assert found.findings == ()
    assert found.spec is not None
    assert found.spec.notify is not None
    assert [rule.after_consecutive for rule in found.spec.notify] == [1, 3, 1, 1]


def test_settings_are_valid_and_show_every_type(tmp_path: Path) -> None:
    """The channels of the page can be loaded; there is one of each type."""
    file = tmp_path / "settings.yaml"
    file.write_text(SETTINGS)
    loaded = load_settings(
        file=file, environment={}, flags={}, folder=tmp_path, read_yaml=read_yaml
    ).settings
    assert {channel.type for channel in loaded.notify.channels} == set(TYPES)
    assert loaded.notify.default[0].on == (NotifyOn.FAILED, NotifyOn.RECOVERED)


def test_page_names_every_key_and_word() -> None:
    """No key of a channel, no word of `on` and no result is left out."""
    keys = {key for of_type in TYPES.values() for key in of_type}
    words = set(re.findall(r"[a-z_0-9]+", PAGE))
    assert keys | set(RULE_WORDS) | set(RESULTS) <= words
    assert f"At most {MOST_WAITING} notices" in PAGE
