"""Reads a definition as strict YAML 1.2.

Plain documents are known at a glance. For all others, and for what is wrong, PyYAML's C parser
delivers events; the data is built from them one by one, without recursion.
Composing with the library itself crashes the process on 200,000 brackets, keeps the last of two
equal keys in silence, and expands aliases without a bound. Here each such file is a finding with
its position, in bounded time and memory. Whether the data is a flow is decided by its readers.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from flowrunner.definitions import codes
from flowrunner.definitions.document import Document
from flowrunner.definitions.plain_yaml import plain_document
from flowrunner.definitions.source import Position, Source, YamlError

if TYPE_CHECKING:
    from flowrunner.definitions.yaml_composer import Composer

__all__ = ["Document", "Position", "YamlError", "parse_yaml", "read_yaml"]

MAX_BYTES = 1_048_576
"""Largest file in bytes."""

_BOM = "\ufeff"


def read_yaml(data: bytes, *, file: str) -> Document:
    """Returns the one document of a file; an empty file gives a document whose data is None.

    Linear in the size of the file, which blocks the caller for up to a second at `MAX_BYTES`.

    Args:
        data: The whole file, in UTF-8.
        file: Its path for findings, relative to the root of the flows.

    Raises:
        YamlError: FR101 to FR108 and FR112 to FR115, the first thing wrong with the file.
    """
    source = _decode(data, file)
    plain = plain_document(source)
    if plain is not None:
        return Document(plain.data, source, lambda: _composed(source).tree(), plain)
    return _composed(source).document()


def parse_yaml(data: bytes, *, file: str) -> Document:
    """Returns what `read_yaml` does, and raises as it does, by the parser alone."""
    return _composed(_decode(data, file)).document()


def _composed(source: Source) -> Composer:
    from flowrunner.definitions.yaml_parsing import composed  # late: loads the library

    return composed(source)


def _decode(data: bytes, file: str) -> Source:
    if len(data) > MAX_BYTES:
        source = Source("", file=file)
        raise source.error(codes.TOO_LARGE, "the file is larger than 1 MiB", Position(1, 1))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        source = Source(data.decode(errors="replace").removeprefix(_BOM), file=file)
        position = source.position_at(len(data[: error.start].decode().removeprefix(_BOM)))
        message = f"the byte 0x{data[error.start]:02X} is not UTF-8"
        is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = f"Save the file as UTF-8{', not UTF-16' if is_utf_16 else ''}."
        raise source.error(codes.FORBIDDEN_CHARACTER, message, position, hint) from error
    source = Source(text.removeprefix(_BOM), file=file)
    found = source.find_forbidden()
    if found is not None:
        message = f"the character U+{ord(source.text[found]):04X} is not allowed"
        hint = "Remove it, or write it as an escape inside double quotes."
        position = source.position_at(found)
        raise source.error(codes.FORBIDDEN_CHARACTER, message, position, hint)
    return source
