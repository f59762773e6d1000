"""Shows settings: the rows of `flowrunner config show` and the JSON schema of the settings file.

Both come from the fields of `flowrunner.config.settings` and the paragraphs under them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import NamedTuple

from flowrunner.config import access_settings as access_page
from flowrunner.config import accounts as account_page
from flowrunner.config import git_settings as git_page
from flowrunner.config import notify_settings as notify_page
from flowrunner.config import server_settings as server_page
from flowrunner.config import settings as page
from flowrunner.config import tls_settings as tls_page
from flowrunner.config.accounts import KEYS, AccountKey, AccountSettings
from flowrunner.config.accounts import SECTION as ACCOUNTS
from flowrunner.config.loader import LoadedSettings
from flowrunner.config.settings import SECTIONS, SETTINGS, Setting, section_of
from flowrunner.model.accounts import ACCOUNT_NAME
from flowrunner.model.ids import Json

_PAGES = (page, server_page, access_page, git_page, notify_page, tls_page, account_page)
SCHEMA_ID = "https://flowrunner.dev/schemas/settings.v1.schema.json"


class Row(NamedTuple):
    """One setting in force.

    Attributes:
        key: `section.name`, or `accounts.NAME.KEY`.
        value: As one would write it into the settings file.
        origin: As in `LoadedSettings`.
    """

    key: str
    value: Json
    origin: str


def describe_settings(loaded: LoadedSettings) -> tuple[Row, ...]:
    """Returns one row for every setting, in the order of the settings page; accounts come last."""
    rows = [
        Row(
            setting.key,
            setting.kind.render(
                getattr(section_of(loaded.settings, setting.section), setting.name)
            ),
            loaded.origins[setting.key],
        )
        for setting in SETTINGS.values()
    ]
    for name, account in loaded.settings.accounts.items():
        for key in KEYS.values():
            full = f"{ACCOUNTS}.{name}.{key.name}"
            value = key.kind.render(getattr(account, key.name))
            rows.append(Row(full, value, loaded.origins[full]))
    return tuple(rows)


def settings_schema() -> dict[str, Json]:
    """Returns the JSON Schema (2020-12) of the settings file.

    Needs the source of the settings page, which every installation has.
    """
    paragraphs = _paragraphs()
    sections: dict[str, Json] = {}
    for section, cls in SECTIONS.items():
        *above, name = section.split(".")
        place = sections
        for outer in above:
            place = place[outer]["properties"]
        place[name] = {
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
    sections[ACCOUNTS] = _accounts_schema(paragraphs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "FlowRunner settings",
        "description": "The settings file of the daemon, given with `serve --config FILE`.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": sections,
    }


def _accounts_schema(paragraphs: Mapping[tuple[str, str], str]) -> dict[str, Json]:
    """Returns the schema of the map of accounts."""
    cls = AccountSettings.__name__
    return {
        "title": ACCOUNTS,
        "description": "Accounts by name. Without any, all flows belong to the account `default`; "
        "else the first folder below the flows tells the account, and files elsewhere are refused.",
        "type": ["object", "null"],
        "propertyNames": {"pattern": ACCOUNT_NAME},
        "additionalProperties": {
            "title": "account",
            "description": inspect.cleandoc(AccountSettings.__doc__ or ""),
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {
                key.name: _account_property(key, paragraphs[cls, key.name]) for key in KEYS.values()
            },
        },
    }


def _account_property(key: AccountKey, paragraph: str) -> dict[str, Json]:
    return {
        "title": f"{ACCOUNTS}.NAME.{key.name}",
        "description": paragraph,
        **key.kind.schema,
        "default": None if key.kind.nullable else key.kind.render(key.default),
        "examples": [key.example],
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
    trees = [ast.parse(inspect.getsource(each)) for each in _PAGES]
    for cls in [part for tree in trees for part in tree.body]:
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
