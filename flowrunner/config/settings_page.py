"""Renders the table of settings that stands in `docs/operating.md`.

The words are those of `flowrunner.config.settings`, so the table and the loader cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

from flowrunner.config.accounts import SECTION as ACCOUNTS
from flowrunner.config.describe import settings_schema
from flowrunner.config.settings import SETTINGS
from flowrunner.model.ids import Json

_HEAD = "| setting | flag | meaning |\n|---|---|---|\n"


def render_settings_table() -> str:
    """Returns the table in Markdown, a row for each setting in the order of the settings page."""
    return _HEAD + "".join(_rows())


def _rows() -> Iterator[str]:
    schema = settings_schema()
    for setting in SETTINGS.values():
        described = reduce(lambda at, name: at["properties"][name], setting.path, schema)
        flag = f"`{setting.flag}`" if setting.flag else ""
        yield _row(setting.key, flag, described)
    for described in schema["properties"][ACCOUNTS]["additionalProperties"]["properties"].values():
        yield _row(described["title"], "", described)


def _row(key: str, flag: str, described: Mapping[str, Json]) -> str:
    meaning = str(described["description"]).replace("|", "\\|")
    return f"| `{key}` | {flag} | {meaning} |\n"
