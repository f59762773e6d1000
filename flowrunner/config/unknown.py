"""What to say about a written key that is no setting: planned, misspelt, or in the wrong place."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from flowrunner.config.accounts import SECTION as ACCOUNTS
from flowrunner.config.kinds import BadValueError, quote
from flowrunner.config.settings import PLANNED, SECTIONS, SETTINGS, Setting
from flowrunner.config.sources import Given

_LONGEST_COMPARED = 64
"""Characters; comparing costs the product of both lengths."""

_ALL = (*SECTIONS, ACCOUNTS)


def explain_unknown(given: Given) -> BadValueError:
    """Returns the error for a value whose path is not in `SETTINGS`.

    Codes: ``settings.unknown_key``, ``settings.planned_key``; ``settings.type`` for a section, or
    a whole file, that is no map.
    """
    path = given.path
    key = ".".join(path)
    if not path or key in SECTIONS:
        what = f"the section {key}" if path else "the settings file"
        hint = "write one `name: value` for each line" if path else _known_names("")
        return BadValueError(f"{what} is not a map", code="settings.type", hint=hint)
    if any(".".join(path[:depth]) in PLANNED for depth in range(1, len(path) + 1)):
        message = f"unknown key {quote(key)}"
        hint = "planned: a later version will know it"
        return BadValueError(message, code="settings.planned_key", hint=hint)
    return BadValueError(
        f"unknown key {quote(key)}",
        code="settings.unknown_key",
        hint=_nearest(given) or _known_names(_section_of(path)),
    )


def _nearest(given: Given) -> str:
    """Returns a guess of what was meant; empty without one."""
    section, name = _section_of(given.path), given.path[-1]
    namesakes = [it for it in SETTINGS.values() if it.name == name]
    if len(namesakes) == 1:
        return _did_you_mean(namesakes[0], given)
    if section in SECTIONS:
        names = {it.name: it for it in SETTINGS.values() if it.section == section}
        return "".join(_did_you_mean(names[it], given) for it in _closest(name, names))
    return "".join(f"did you mean the section {it}?" for it in _closest(section, _ALL))


def _section_of(path: tuple[str, ...]) -> str:
    """Returns the innermost section that a path leads into; its first word if that is none."""
    for depth in range(len(path), 0, -1):
        if ".".join(path[:depth]) in SECTIONS:
            return ".".join(path[:depth])
    return path[0]


def _outer() -> list[str]:
    return [name for name in _ALL if "." not in name]


def _closest(written: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(written[:_LONGEST_COMPARED], list(known), n=1)


def _did_you_mean(setting: Setting, given: Given) -> str:
    if given.is_text:
        return f"did you mean {setting.variable}?"
    return f"did you mean {setting.name} in the section {setting.section}?"


def _known_names(section: str) -> str:
    names = [it.name for it in SETTINGS.values() if it.section == section]
    return f"{section} has: {', '.join(names)}" if names else f"sections: {', '.join(_outer())}"
