"""The kinds of settings that say who may reach the daemon over a network, and how often."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from flowrunner.config.kinds import BadValueError, Kind, quote
from flowrunner.model.ids import Json
from flowrunner.model.rates import RATE_PATTERN, Rate, parse_rate

Network = IPv4Network | IPv6Network
Proxy = Network | Literal["unix"]
"""A network that proxies have, or whoever may connect to a unix socket."""

_OFF = "off"
_ORIGIN = "^https?://(\\[[0-9a-f:.]+\\]|[a-z0-9._-]+)(:[0-9]{1,5})?$"


def rate() -> Kind:
    """A number per time, or `off` for no bound (None)."""

    def parse(value: Json, _: Path) -> Rate | None:
        hint = "write NUMBER/TIME, for example 100/1s or 30/1m, or off"
        if not isinstance(value, str):
            raise BadValueError(f"{quote(value)} is not a rate", code="settings.type", hint=hint)
        if value == _OFF:
            return None
        found = parse_rate(value)
        if found is None:
            raise BadValueError(f"{quote(value)} is not a rate", hint=hint)
        return found

    return Kind(
        parse=parse,
        render=lambda value: _OFF if value is None else value.text,
        schema={"type": "string", "pattern": f"{RATE_PATTERN}|^{_OFF}$"},
    )


def proxies() -> Kind:
    """A list of addresses, networks and the word `unix`; a text has commas between them."""
    hint = "write addresses, networks or unix, for example [127.0.0.1, 10.0.0.0/8]"

    def parse(value: Json, _: Path) -> tuple[Proxy, ...]:
        if not isinstance(value, list):
            message = f"{quote(value)} is not a list of addresses"
            raise BadValueError(message, code="settings.type", hint=hint)
        found: list[Proxy] = []
        for written in value:
            if written == "unix":
                found.append("unix")
                continue
            try:
                found.append(ip_network(written if isinstance(written, str) else ""))
            except ValueError as error:
                text = f"{quote(written)} is no address and no network"
                raise BadValueError(text, hint=hint) from error
        return tuple(dict.fromkeys(found))

    return Kind(
        parse=parse,
        render=lambda value: [_written(proxy) for proxy in value],
        from_text=_listed,
        schema={"type": "array", "items": {"type": "string", "minLength": 2}},
    )


def origins() -> Kind:
    """A list of origins of web pages; a text has commas between them. Source: RFC 6454."""
    hint = "write scheme, host and port alone, for example [https://status.example.com]"

    def parse(value: Json, _: Path) -> tuple[str, ...]:
        if not isinstance(value, list):
            message = f"{quote(value)} is not a list of origins"
            raise BadValueError(message, code="settings.type", hint=hint)
        for origin in value:
            if not isinstance(origin, str) or not re.fullmatch(_ORIGIN, origin):
                raise BadValueError(f"{quote(origin)} is no origin", hint=hint)
        return tuple(dict.fromkeys(value))

    return Kind(
        parse=parse,
        render=list,
        from_text=_listed,
        schema={"type": "array", "items": {"type": "string", "pattern": _ORIGIN}},
    )


def _listed(text: str) -> Json:
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _written(network: Proxy) -> str:
    """Returns a network as one writes it: a single address without its length."""
    if isinstance(network, str):
        return network
    is_one = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if is_one else str(network)
