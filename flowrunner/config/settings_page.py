"""Renders the table of settings that stands in `docs/operating.md`.

The words are those of `flowrunner.config.settings`, so the table and the loader cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowrunner.config.describe import settings_schema
from flowrunner.config.settings import SETTINGS

_HEAD = "| setting | flag | meaning |\n|---|---|---|\n"


def render_settings_table() -> str:
    """Returns the table in Markdown, a row for each setting in the order of the settings page."""
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    sections = settings_schema()["properties"]
    for setting in SETTINGS.values():
        described = sections[setting.section]["properties"][setting.name]
        flag = f"`{setting.flag}`" if setting.flag else ""
        meaning = str(described["description"]).replace("|", "\\|")
        yield f"| `{setting.key}` | {flag} | {meaning} |\n"
