"""Where the fuzzer begins: for each target inputs that already mean something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tests.fuzz.targets import BREAK
from tests.unit.triggers.test_forgeries import NAMES, signed
from tests.unit.triggers.test_providers import NOW


def _right(number: int, name: str) -> bytes:
    """A right delivery as the target `headers` reads it."""
    sent = sorted(signed(name, b"{}", NOW).items())
    return BREAK.join([bytes([number]), *(text.encode("latin-1") for _, text in sent), b"{}"])


_HEAD = b"POST /hooks/a/b?c=%20 HTTP/1.1\r\nHost: h\r\n"

SEEDS: Mapping[str, Sequence[bytes]] = MappingProxyType(
    {
        "headers": [_right(number, name) for number, name in enumerate(NAMES)],
        "forgeries": [
            bytes([number, place, cut, 0]) + piece
            for number in range(len(NAMES))
            for place, cut, piece in ((0, 0, b" "), (3, 2, b"v1="), (12, 0, b",t=1"), (40, 1, b"A"))
        ],
        "bodies": [
            b'\0{"a": [1, 2.5e3, true, null, "\\u00e9\\ud800"]}',
            b"\0" + b"[" * 65 + b"]" * 65,
            b"\0NaN",
            b"\0-1e999",
            b"\0" + b"9" * 400,
            b"\x01a=1&b=%c3%a9&a=2&c",
            b"\x01%ff=%zz&;=&",
            b"\x02\xff\xfe\0",
        ],
        "callers": [
            b"\x00198.51.100.7",
            b"\xff198.51.100.7, 10.1.1.1",
            b"\x00[2001:db8::7]:8443",
            b"\xffunknown, ::ffff:127.0.0.1",
            b"\x00192.0.2.66" + BREAK + b"198.51.100.7:80,",
        ],
        "requests": [
            _HEAD + b"Content-Length: 2\r\n\r\n{}",
            _HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}",
            _HEAD + b"Content-Length: 2\r\nContent-Length: 02\r\n\r\n{}",
            _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            _HEAD + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n",
        ],
    }
)
