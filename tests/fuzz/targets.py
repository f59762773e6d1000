"""What is fuzzed: functions of bytes that raise when a promise does not hold.

They know nothing of the fuzzer, so that what it finds is replayed, and kept, without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from flowrunner.errors import ValidationError
from flowrunner.model.body import Content, body_value
from flowrunner.model.depth import is_deeper
from flowrunner.model.hook_auth import Proof
from flowrunner.model.secret import SecretValue
from flowrunner.triggers.hook_body import JSON_DEPTH, read_body
from flowrunner.triggers.signatures import judge, pretend, signed_part
from flowrunner.web.origins import Proxies
from flowrunner.web.plain_requests import read_plain
from tests.property.test_plain_requests import read_by_h11
from tests.unit.triggers.test_forgeries import (
    NAMES,
    auth_and_secret,
    believed,
    means_the_same,
    signed,
)
from tests.unit.triggers.test_providers import NOW

BREAK = b"\xff\xff"
"""Between the parts of an input; no header of ours has it."""
_STRANGER = SecretValue("whsec_" + "QUFB" * 8)
"""A secret that no input can know: nothing is signed with it."""
_PROXIES = Proxies(["unix", ip_network("10.0.0.0/8")])


def headers(data: bytes) -> None:
    """Headers of every kind open no hook whose secret is another one, and raise nothing."""
    choice, *parts = data.split(BREAK)
    name = NAMES[(choice or b"\0")[0] % len(NAMES)]
    auth, _ = auth_and_secret(name)
    body = parts.pop() if parts else b""
    keys = sorted(signed(name, b"", NOW))
    sent = {key: part.decode("latin-1") for key, part in zip(keys, parts, strict=False)}
    proof = judge(auth, [_STRANGER, _STRANGER], sent, body, NOW)
    _require(not isinstance(proof, Proof), f"{name} believes {sent}")
    signed_part(auth.proof, sent, body)
    pretend(sent, body)


def forgeries(data: bytes) -> None:
    """A right delivery with a part of a header put in, taken out or replaced is refused."""
    choice, place, cut, key, *piece = [*data[:4].ljust(4, b"\0"), *data[4:]]
    name, body = NAMES[choice % len(NAMES)], b"{}"
    before = signed(name, body, NOW)
    changed_key = sorted(before)[key % len(before)]
    text = before[changed_key]
    put = bytes(piece).decode("latin-1")
    after = {**before, changed_key: text[:place] + put + text[place + cut % 16 :]}
    _require(
        not believed(name, after, body, NOW) or means_the_same(name, before, after),
        f"{name} believes {after}",
    )


def bodies(data: bytes) -> None:
    """A body is refused with a code, or is JSON that can be written again and is not too deep."""
    content = tuple(Content)[(data or b"\0")[0] % len(Content)]
    try:
        value = read_body(data[1:], content)
    except ValidationError as error:
        _require(error.code in {"delivery.json", "delivery.form"}, error.code)
        return
    _require(value == body_value(data[1:], content), "expressions would see another one")
    json.dumps(value, allow_nan=False)
    _require(not is_deeper(value, JSON_DEPTH), "too deep")


def callers(data: bytes) -> None:
    """What a trusted proxy says of its caller is an address or nothing, and never this machine."""
    peer = ("uid:33", 1) if data[:1] < b"\x80" else ("10.0.0.1", 1)
    sent = [(b"x-forwarded-for", part) for part in data[1:].split(BREAK)]
    origin = _PROXIES.origin_of({"type": "http", "headers": sent, "client": peer})
    _require(not origin.is_local, "local")
    if origin.address:
        ip_address(origin.address)


def requests(data: bytes) -> None:
    """What is read at a glance is what the general parser reads, and nothing is raised."""
    plain = read_plain(data)
    _require(plain is None or plain == read_by_h11(data), f"read as {plain}")


TARGETS: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {each.__name__: each for each in (headers, forgeries, bodies, callers, requests)}
)


def _require(holds: bool, text: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise AssertionError(text)
