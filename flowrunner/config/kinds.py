"""The kinds of values a setting can have: how each is read, bounded, written and described.

A kind knows nothing of where its value comes from; that is `flowrunner.config.sources`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flowrunner.dataclass import dataclass
from flowrunner.errors import SettingsError
from flowrunner.model.ids import Json
from flowrunner.model.process import USER_NAME
from flowrunner.model.quantities import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    QuantityError,
    parse_duration,
    parse_size,
    render_duration,
    render_size,
)

_USER = re.compile(r"\S*//.*@|\S*:\S*@", re.DOTALL)
_LONGEST_QUOTE = 60
_COUNT = re.compile(r"[0-9]{1,18}")

Quantity = TypeVar("Quantity", int, float)


class BadValueError(SettingsError):
    """Something written that does not fit; the loader makes a finding of it.

    Attributes:
        hint: What would fit.
    """

    default_code = "settings.value"

    def __init__(self, message: str, *, code: str | None = None, hint: str) -> None:
        super().__init__(message, code=code)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How the values of one setting are read and written.

    Attributes:
        parse: Written value and the folder of relative paths → checked value; raises
            `BadValueError` (``settings.type``, ``settings.value``, ``settings.path``).
        schema: What JSON Schema can say about the written value.
        render: Checked value → written value.
        from_text: Text of a flag or variable → written value.
        nullable: Whether `null` may stand for "as by default".
    """

    parse: Callable[[Json, Path], Any]
    schema: Mapping[str, Json]
    render: Callable[[Any], Json] = str
    from_text: Callable[[str], Json] = str
    nullable: bool = False


def about(kind: Kind, *, example: Any, flag: str | None = None) -> Mapping[str, Any]:
    """Returns what a field of a settings page says of itself; the words are those of `Setting`."""
    return {"kind": kind, "example": example, "flag": flag}


def duration(at_least: float, at_most: float) -> Kind:
    """A time span; value and bounds are in seconds."""
    return Kind(
        parse=lambda value, _: _quantity(
            parse_duration, value, (at_least, at_most), render_duration
        ),
        render=render_duration,
        schema={"type": "string", "pattern": DURATION_PATTERN},
    )


def size(at_least: int, at_most: int) -> Kind:
    """An amount of data; value and bounds are in bytes."""
    return Kind(
        parse=lambda value, _: _quantity(parse_size, value, (at_least, at_most), render_size),
        render=render_size,
        schema={"type": "string", "pattern": SIZE_PATTERN},
    )


def count(at_least: int, at_most: int) -> Kind:
    """A whole number within its bounds."""

    def parse(value: Json, _: Path) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong_type(value, "a whole number", f"for example {at_least}")
        return _within(value, (at_least, at_most), str)

    return Kind(
        parse=parse,
        render=int,
        # What are no digits stays text, to be refused as such.
        from_text=lambda text: int(text) if _COUNT.fullmatch(text) else text,
        schema={"type": "integer", "minimum": at_least, "maximum": at_most},
    )


def choice(options: tuple[str, ...]) -> Kind:
    """One of a few words."""

    def parse(value: Json, _: Path) -> str:
        words = "one of: " + ", ".join(options)
        if not isinstance(value, str):
            raise _wrong_type(value, "a word", words)
        if value not in options:
            raise BadValueError(f"{quote(value)} is not known", hint=words)
        return value

    return Kind(parse=parse, schema={"type": "string", "enum": list(options)})


def user_names() -> Kind:
    """A list of names of users, each once; a text has commas between them."""
    hint = "write a list, for example [deploy, backup]"

    def parse(value: Json, _: Path) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise _wrong_type(value, "a list of users", hint)
        for name in value:
            if not isinstance(name, str) or not re.fullmatch(USER_NAME, name):
                raise BadValueError(f"{quote(name)} is no name of a user", hint=hint)
        return tuple(dict.fromkeys(value))

    return Kind(
        parse=parse,
        render=list,
        from_text=lambda text: [name.strip() for name in text.split(",")] if text.strip() else [],
        schema={"type": "array", "items": {"type": "string", "pattern": USER_NAME}},
    )


def folders() -> Kind:
    """A list of folders, each once; a text has commas between them."""
    one, hint = file_path(), "write a list, for example [/srv/inbox]"

    def parse(value: Json, folder: Path) -> tuple[Path, ...]:
        if not isinstance(value, list):
            raise _wrong_type(value, "a list of folders", hint)
        found = (Path(os.path.normpath(one.parse(each, folder))) for each in value)
        return tuple(dict.fromkeys(found))

    return Kind(
        parse=parse,
        render=lambda paths: [one.render(path) for path in paths],
        from_text=lambda text: [one.strip() for one in text.split(",")] if text.strip() else [],
        schema={"type": "array", "items": one.schema},
    )


def flag() -> Kind:
    """True or false."""

    def parse(value: Json, _: Path) -> bool:
        if not isinstance(value, bool):
            raise _wrong_type(value, "true or false", "write true or false")
        return value

    return Kind(
        parse=parse,
        render=bool,
        from_text=lambda text: {"true": True, "false": False}.get(text.lower(), text),
        schema={"type": "boolean"},
    )


def line_of_text(check: Callable[[str], str | None], hint: str) -> Kind:
    """A text that may be left out; `check` says what is wrong with one, None if it is good."""

    def parse(value: Json, _: Path) -> str:
        if not isinstance(value, str):
            raise _wrong_type(value, "a text", hint)
        wrong = check(value)
        if wrong is not None:
            raise BadValueError(f"{quote(_without_user(value))} {wrong}", hint=hint)
        return value

    return Kind(
        parse=parse,
        render=lambda text: text,
        schema={"type": ["string", "null"], "minLength": 1},
        nullable=True,
    )


def file_path(*, nullable: bool = False) -> Kind:
    """A file or folder; the value is absolute. Whether it exists is not asked."""

    def parse(value: Json, folder: Path) -> Path:
        if not isinstance(value, str):
            raise _wrong_type(value, "a path", "write it as text")
        if not value or "\0" in value:
            message = f"{quote(value)} is not a path"
            raise BadValueError(message, code="settings.path", hint="name a file or folder")
        if value == "~" or value.startswith("~/"):
            message = f"~ is not expanded in {quote(value)}"
            hint = "write the path from /, or ./~ for a folder of that name"
            raise BadValueError(message, code="settings.path", hint=hint)
        return folder / value

    return Kind(
        parse=parse,
        render=lambda path: None if path is None else printable(str(path)),
        schema={"type": ["string", "null"] if nullable else "string", "minLength": 1},
        nullable=nullable,
    )


def _without_user(text: str) -> str:
    """Returns a text without what may be the user and the password in an address."""
    return _USER.sub("***@", text)


def quote(value: object) -> str:
    """Returns a value from outside for a message: escaped and cut."""
    text = ascii(value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def printable(text: str) -> str:
    """Returns text that any terminal and JSON can carry: names of files may not be UTF-8."""
    return text.encode(errors="backslashreplace").decode()


def _wrong_type(value: Json, wanted: str, hint: str) -> BadValueError:
    return BadValueError(f"{quote(value)} is not {wanted}", code="settings.type", hint=hint)


def _quantity(
    parse: Callable[[object], Quantity],
    value: Json,
    bounds: tuple[Quantity, Quantity],
    render: Callable[[Quantity], str],
) -> Quantity:
    try:
        return _within(parse(value), bounds, render)
    except QuantityError as error:
        code = "settings.value" if isinstance(value, str) else "settings.type"
        raise BadValueError(error.message, code=code, hint=error.hint) from error


def _within(
    value: Quantity, bounds: tuple[Quantity, Quantity], render: Callable[[Quantity], str]
) -> Quantity:
    at_least, at_most = bounds
    if not at_least <= value <= at_most:
        hint = f"at least {render(at_least)}, at most {render(at_most)}"
        raise BadValueError(f"{render(value)} is out of range", hint=hint)
    return value
