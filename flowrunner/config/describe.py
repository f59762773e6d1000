"""Shows settings: the rows of `flowrunner config show` and the JSON schema of the settings file.

Both come from the fields of `flowrunner.config.settings` and the paragraphs under them.
"""

from __future__ import annotations

import ast
import inspect
from typing import NamedTuple

from flowrunner.config import settings as page
from flowrunner.config.loader import LoadedSettings
from flowrunner.config.settings import SECTIONS, SETTINGS, Setting
from flowrunner.model.ids import Json

SCHEMA_ID = "https://flowrunner.dev/schemas/settings.v1.schema.json"


class Row(NamedTuple):
    """One setting in force.

    Attributes:
        key: `section.name`.
        value: As one would write it into the settings file.
        origin: As in `LoadedSettings`.
    """

    key: str
    value: Json
    origin: str


def describe_settings(loaded: LoadedSettings) -> tuple[Row, ...]:
    """Returns one row for every setting, in the order of the settings page."""
    return tuple(
        Row(
            setting.key,
            setting.kind.render(getattr(getattr(loaded.settings, setting.section), setting.name)),
            loaded.origins[setting.key],
        )
        for setting in SETTINGS.values()
    )


def settings_schema() -> dict[str, Json]:
    """Returns the JSON Schema (2020-12) of the settings file.

    Needs the source of the settings page, which every installation has.
    """
    paragraphs = _paragraphs()
    sections = {
        section: {
            "title": section,
            "description": inspect.cleandoc(cls.__doc__ or ""),
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {
                it.name: _property(it, paragraphs[cls.__name__, it.name])
                for it in SETTINGS.values()
                if it.section == section
            },
        }
        for section, cls in SECTIONS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "FlowRunner settings",
        "description": "The settings file of the daemon, given with `serve --config FILE`.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": sections,
    }


def _property(setting: Setting, paragraph: str) -> dict[str, Json]:
    kind = setting.kind
    return {
        "title": setting.key,
        "description": paragraph,
        **kind.schema,
        # Where null is allowed it is the default: the value then follows from other settings.
        "default": None if kind.nullable else kind.render(setting.default),
        "examples": [setting.example],
    }


def _paragraphs() -> dict[tuple[str, str], str]:
    """Returns the text under each field by class and field: Python itself drops it."""
    found = {}
    for cls in ast.parse(inspect.getsource(page)).body:
        if not isinstance(cls, ast.ClassDef):
            continue
        for above, below in zip(cls.body, cls.body[1:], strict=False):
            match above, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[cls.name, name] = " ".join(text.split())
                case _:
                    pass
    return found
