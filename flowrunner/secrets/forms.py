"""The forms in which a secret turns up in output: as it is, and as programs encode and quote it.

Best effort by nature: a program that reverses, compresses or cuts a secret gets it through. What
is listed here is what `base64`, HTTP clients, JSON loggers and shells do by themselves, `set -x`
and `export -p` included. Finding the forms in a stream is the business of
`flowrunner.secrets.masking`.

Sources: RFC 4648 (base64), RFC 3986 and the HTML form encoding (URLs), RFC 8259 (JSON), POSIX
2.2 "Quoting" and bash(1), "QUOTING" (shells), base64(1) and RFC 7468 (76 and 64 columns).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

SHORTEST_VALUE = 4
"""Characters. Shorter values are not masked: stars would spoil ordinary output, and hide little."""

SHORTEST_LINE = 6
"""Characters, of one line of a secret with several lines; `}` or `END` alone is no secret."""

_WRAPPED_AT = (64, 76)
_GROUP = 3
"""Bytes that base64 writes as four characters."""

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_LEFT_ALONE = ("", "/", "!'()*")
"""What encoders of URLs do not escape, beside letters, digits and `_.-~`: RFC 3986, the default
of many libraries, JavaScript's `encodeURIComponent`."""

_ESCAPE = re.compile("%[0-9A-F]{2}")
_QUOTES = re.compile("'+")
_SPECIAL = re.compile(r"(?![A-Za-z0-9_@%+:./=-])[\x00-\x7f]")  # a class of all others takes 3 ms
_IN_DOUBLE_QUOTES = re.compile(r'["$`\\]')
_CONTROL = {
    "\\": "\\\\", "'": "\\'", "\a": "\\a", "\b": "\\b", "\x1b": "\\E", "\f": "\\f",
    "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


def forms_of(values: Iterable[str]) -> frozenset[bytes]:
    """Returns every text of bytes to hide for some secrets.

    Of a value with space around it the forms are those of what is between. A line of a value with
    several lines has the forms of a value, base64 apart, as nobody encodes it by itself.
    """
    return frozenset(form for value in set(values) for form in _forms(value) if form)


def _forms(value: str) -> Iterator[bytes]:
    stripped = value.strip()
    if not stripped or len(value) < SHORTEST_VALUE:
        return
    yield _bytes(value)
    if len(stripped) >= SHORTEST_VALUE:
        yield from _written(stripped)
        yield from _base64(_bytes(stripped))
        yield from _wrapped(_bytes(value))
    if "\n" in stripped:
        for line in stripped.split("\n"):
            if len(line.strip()) >= SHORTEST_LINE:
                yield from _written(line.strip())


def _written(text: str) -> Iterator[bytes]:
    """Yields a text as it is, in URLs, in JSON and quoted for shells."""
    for each in (text, *_json(text), *_shell(text)):
        yield _bytes(each)
    for each in _url(text):
        yield each.encode()


def _url(text: str) -> Iterator[str]:
    for safe in _LEFT_ALONE:
        escaped = quote(_bytes(text), safe=safe)
        for each in (escaped, escaped.replace("%20", "+")):
            yield each
            yield _ESCAPE.sub(lambda match: match[0].lower(), each)


def _json(text: str) -> Iterator[str]:
    for is_ascii in (True, False):
        escaped = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")


def _shell(text: str) -> Iterator[str]:
    """Yields what stands between the outer quotes; without them where there are none."""
    yield text.replace("'", "'\\''")
    yield text.replace("'", "'\"'\"'")
    yield _QUOTES.sub(lambda match: f"'\"{match[0]}\"'", text)
    yield _SPECIAL.sub(lambda match: "\\" + match[0], text)
    yield _IN_DOUBLE_QUOTES.sub(lambda match: "\\" + match[0], text)
    ansi = "".join(_CONTROL.get(each) or _octal(each, is_ascii=False) for each in text)
    yield ansi
    yield "".join(_octal(each, is_ascii=True) for each in ansi)


def _octal(character: str, *, is_ascii: bool) -> str:
    """Writes a control character, or one beyond ASCII, as bash does within `$'…'`."""
    if " " <= character <= "~" or (character > "\x9f" and not is_ascii):
        return character
    return "".join(f"\\{byte:03o}" for byte in _bytes(character))


def _base64(data: bytes) -> Iterator[bytes]:
    """Yields what data look like at each of the three places they may have in a group.

    Of the characters at the ends those are left out that depend on what stands beside the data;
    where nothing follows, the last one and the padding are known and belong to it.
    """
    for before in range(_GROUP):
        encoded = b64encode(bytes(before) + data)
        first = -(-before * 8 // 6)
        whole = (before + len(data)) * 8 // 6
        yield from _alphabets(encoded[first:whole])
        yield from _alphabets(encoded[first:].rstrip(b"="))
        yield from _alphabets(encoded[first:])


def _wrapped(data: bytes) -> Iterator[bytes]:
    """Yields the lines of data that were encoded by themselves and are too long for one."""
    encoded = b64encode(data).rstrip(b"=")
    for width in _WRAPPED_AT:
        if len(encoded) > width:
            for at in range(0, len(encoded), width):
                line = encoded[at : at + width]
                if len(line) >= SHORTEST_LINE:
                    yield from _alphabets(line)


def _alphabets(encoded: bytes) -> Iterator[bytes]:
    yield encoded
    yield encoded.translate(_URL_SAFE)


def _bytes(text: str) -> bytes:
    """Returns the bytes a program gets. Source: PEP 383, bytes that are not UTF-8 in a text."""
    return text.encode("utf-8", errors="surrogateescape")
