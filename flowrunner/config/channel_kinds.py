"""The kinds of settings that say how people are told: channels by name, and rules of `notify`.

A secret of a channel is written by its name and looked up, when something is sent, among the
secrets of whose channel it is: the account `default` for those of the host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flowrunner.config.kinds import (
    BadValueError,
    Kind,
    choice,
    count,
    duration,
    file_path,
    line_of_text,
    quote,
)
from flowrunner.config.network_kinds import rate
from flowrunner.config.token_kinds import json_of_text
from flowrunner.dataclass import dataclass
from flowrunner.model.formats import is_mailable
from flowrunner.model.ids import Json
from flowrunner.model.notify import CHANNEL_NAME
from flowrunner.model.rates import Rate

_MOST = 200
_LONGEST = 2_000
_SECRET = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"  # noqa: S105 - a pattern, not a secret
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
_HINT = "write NAME: {type: TYPE, …}, one for each channel"


class _Key(NamedTuple):
    """One key of a channel; `default` is the checked value of one that is left out.

    `is_secret`: its value is the name of a secret.
    """

    kind: Kind
    default: Any = None
    is_required: bool = False
    is_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """One channel.

    Attributes:
        values: Every key of its type, checked.
        written: As it was written, with paths made absolute.
    """

    name: str
    type: str
    values: Mapping[str, Any]
    written: Mapping[str, Json]

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The names of the secrets that it needs."""
        found = (self.values[key] for key, known in TYPES[self.type].items() if known.is_secret)
        return tuple(name for name in found if name is not None)


def web_address(hint: str = "write https://HOST/PATH") -> Kind:
    """The address of something that speaks HTTP, without a user or password."""
    return line_of_text(_wrong_address, hint)


def _wrong_address(text: str) -> str | None:
    if len(text) > _LONGEST or not text.isascii() or not text.isprintable() or " " in text:
        return "is too long, or holds spaces, control characters or others than ASCII"
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return "is no address of HTTP"
    if not is_good:
        return "is no address of HTTP"
    return "holds a user or password, which would be shown" if "@" in parts.netloc else None


def _secret_name() -> Kind:
    hint = "write the name of a secret, not the secret"

    def parse(value: Json, _: Path) -> str:
        if not isinstance(value, str) or not re.fullmatch(_SECRET, value):
            # Not quoted: this may be the secret itself.
            raise BadValueError("is no name of a secret", hint=hint)
        return value

    return Kind(
        parse=parse,
        render=lambda name: name,
        schema={"type": ["string", "null"], "pattern": _SECRET},
        nullable=True,
    )


def _text(what: str, pattern: re.Pattern[str], hint: str) -> Kind:
    return line_of_text(lambda it: None if pattern.fullmatch(it) else f"is no {what}", hint)


def _texts(one: Kind, what: str) -> Kind:
    def parse(value: Json, folder: Path) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            hint = f"write a list of {what}"
            raise BadValueError(f"{quote(value)} is no such list", code="settings.type", hint=hint)
        return tuple(one.parse(each, folder) for each in value)

    items = {**one.schema, "type": "string"}
    return Kind(parse=parse, render=list, schema={"type": "array", "minItems": 1, "items": items})


def _any_text() -> Kind:
    return line_of_text(
        lambda text: "is empty, or holds a zero byte" if not text or "\0" in text else None,
        "write the program and its arguments",
    )


_TIMEOUT = _Key(duration(1, 300), 10.0)
_CA = _Key(file_path(nullable=True))
_URL = _Key(
    web_address("write https://HOST/PATH; one that is secret into a secret that url_secret names")
)
_SECRET_KEY = _Key(_secret_name(), is_secret=True)
_MAIL = line_of_text(
    lambda text: None if is_mailable(text) else "is no address", "write name@example.com"
)
_TO_PEOPLE = _Key(rate(), Rate(10, 60.0, "10/1m"))
_TO_MACHINES = _Key(rate(), Rate(60, 60.0, "60/1m"))
_ADDRESSED = {"url": _URL, "url_secret": _SECRET_KEY, "ca_file": _CA, "timeout": _TIMEOUT}

TYPES: Mapping[str, Mapping[str, _Key]] = {
    "slack": {
        "url_secret": _SECRET_KEY._replace(is_required=True),
        "ca_file": _CA,
        "timeout": _TIMEOUT,
        "rate": _TO_PEOPLE,
    },
    "webhook": {
        **_ADDRESSED,
        "secret": _SECRET_KEY._replace(is_required=True),
        "rate": _TO_MACHINES,
    },
    "email": {
        "host": _Key(_text("host", _HOST, "write the name of the server"), is_required=True),
        "port": _Key(count(1, 65_535)),
        "security": _Key(choice(("starttls", "tls", "none")), "starttls"),
        "from": _Key(_MAIL, is_required=True),
        "to": _Key(_texts(_MAIL, "addresses"), is_required=True),
        "user": _Key(_any_text()),
        "password_secret": _SECRET_KEY,
        "ca_file": _CA,
        "timeout": _TIMEOUT._replace(default=30.0),
        "rate": _TO_PEOPLE,
    },
    "exec": {
        "argv": _Key(_texts(_any_text(), "words: the program, its arguments"), is_required=True),
        "timeout": _TIMEOUT._replace(default=30.0),
        "rate": _TO_MACHINES,
    },
    "ping": _ADDRESSED,
    "alertmanager": {
        **_ADDRESSED,
        "bearer_secret": _SECRET_KEY,
        "expires": _Key(duration(60, 30 * 86_400), 86_400.0),
    },
}
"""Type of a channel → its keys."""


def channels_kind() -> Kind:
    """Channels by name."""
    return Kind(
        parse=_parse,
        render=lambda channels: {each.name: dict(each.written) for each in channels},
        from_text=json_of_text,
        schema={
            "type": "object",
            "maxProperties": _MOST,
            "propertyNames": {"pattern": CHANNEL_NAME},
            "additionalProperties": {"oneOf": [_schema(name) for name in TYPES]},
        },
    )


def _parse(value: Json, folder: Path) -> tuple[ChannelSettings, ...]:
    if not isinstance(value, dict):
        raise _not_shown("a map of channels", value)
    if len(value) > _MOST:
        raise BadValueError(f"{len(value)} channels are too many", hint=f"at most {_MOST}")
    return tuple(_channel(name, written, folder) for name, written in value.items())


def _channel(name: str, written: Json, folder: Path) -> ChannelSettings:
    if not re.fullmatch(CHANNEL_NAME, name):
        hint = "small letters, digits, '_' and '-', at most 63, a letter or digit first"
        raise BadValueError(f"{quote(name)} cannot be the name of a channel", hint=hint)
    if not isinstance(written, dict):
        raise _not_shown(f"a map, which channel {name} is", written)
    kind = written.get("type")
    keys = TYPES.get(kind) if isinstance(kind, str) else None
    if keys is None:
        hint = f"types: {', '.join(TYPES)}"
        raise BadValueError(f"{name}: type {quote(kind)} is not known", hint=hint)
    values, shown = {}, {"type": kind}
    for key in written:
        if key not in keys and key != "type":
            hint = f"type {kind} has: {', '.join(keys)}"
            raise BadValueError(f"{name}: unknown key {quote(key)}", hint=hint)
    for key, known in keys.items():
        given = written.get(key)
        if given is None and known.is_required:
            raise BadValueError(f"{name}: {key} is missing", hint=f"type {kind} needs it")
        values[key] = (
            known.default if given is None else _value(f"{name}.{key}", known, given, folder)
        )
        if given is not None:
            shown[key] = known.kind.render(values[key])
    _check(name, values, kind)
    return ChannelSettings(name=name, type=str(kind), values=values, written=shown)


def _value(place: str, key: _Key, written: Json, folder: Path) -> Any:
    try:
        return key.kind.parse(written, folder)
    except BadValueError as error:
        text = f"{place}: {error.message}"
        raise BadValueError(text, code=error.code, hint=error.hint) from error


def _check(name: str, values: Mapping[str, Any], kind: Json) -> None:
    """Judges what only several keys together tell."""
    if "url" in values and (values["url"] is None) == (values["url_secret"] is None):
        hint = "url_secret names a secret that holds the address, where it is secret itself"
        raise BadValueError(f"{name}: needs url or url_secret, one of the two", hint=hint)
    if kind != "email":
        return
    if (values["user"] is None) != (values["password_secret"] is None):
        hint = "write user and password_secret, or neither"
        raise BadValueError(f"{name}: is half of a login", hint=hint)
    if values["user"] is not None and values["security"] == "none":
        hint = "write security: starttls or tls, or leave user and password_secret out"
        raise BadValueError(f"{name}: would send the password in the clear", hint=hint)


def _schema(kind: str) -> dict[str, Json]:
    keys = TYPES[kind]
    shapes: dict[str, Json] = {"type": {"type": "string", "const": kind}}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["type", *(name for name, key in keys.items() if key.is_required)],
        "properties": {**shapes, **{name: dict(key.kind.schema) for name, key in keys.items()}},
    }


def _not_shown(what: str, value: Json) -> BadValueError:
    # Not quoted: who pastes the address of a hook into the wrong place need not find it in a log.
    text = f"a {type(value).__name__} is not {what}"
    return BadValueError(text, code="settings.type", hint=_HINT)
