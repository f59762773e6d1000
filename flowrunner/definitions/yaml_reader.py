"""Reads a definition as strict YAML 1.2.

PyYAML's C parser delivers events; the data is built from them one by one, without recursion.
Composing with the library itself crashes the process on 200,000 brackets, keeps the last of two
equal keys in silence, and expands aliases without a bound. Here each such file is a finding with
its position, in bounded time and memory. Whether the data is a flow is decided by its readers.
"""

from __future__ import annotations

import codecs
import re

from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.definitions.document import Document
from flowrunner.definitions.plain_yaml import plain_document
from flowrunner.definitions.source import TEXT_START, Mark, Position, Source, YamlError, quote
from flowrunner.definitions.yaml_composer import Composer
from flowrunner.definitions.yaml_events import MarkedYAMLError, StreamEndEvent, events_of
from flowrunner.definitions.yaml_faults import Complaint, explain

__all__ = ["Document", "Position", "YamlError", "parse_yaml", "read_yaml"]

MAX_BYTES = 1_048_576
"""Largest file in bytes."""

_BOM = "\ufeff"

# Lines before the document that are no directive or a harmless one, then a directive.
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n)|%YAML[ \t][^\r\n]*(?:\r\n?|\n))*+%")

# What may follow the end of the document: space, comments and further "..." lines.
_AFTER_END = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*|\.\.\.(?=\s|\Z))*+")


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
    plain = plain_document(source.text)
    if plain is not None:
        return Document(plain.data, source, lambda: _composed(source).tree(), plain)
    return _composed(source).document()


def parse_yaml(data: bytes, *, file: str) -> Document:
    """Returns what `read_yaml` does, and raises as it does, by the parser alone."""
    return _composed(_decode(data, file)).document()


def _composed(source: Source) -> Composer:
    """Returns what has taken all events of a text."""
    _refuse_directives(source)
    composer, get_event = Composer(source), events_of(source.text.encode())
    try:
        stream = get_event()
        if type(get_event()) is StreamEndEvent:
            composer.nothing(stream.start_mark)
            return composer
        end = composer.compose(get_event)
    except MarkedYAMLError as error:
        raise _syntax_error(source, error) from error
    # The parser is not asked on: it takes long over a second document's directives.
    _refuse_rest(source, end)
    return composer


def _decode(data: bytes, file: str) -> Source:
    if len(data) > MAX_BYTES:
        source = Source("", file=file)
        raise _error(source, codes.TOO_LARGE, "the file is larger than 1 MiB", Position(1, 1))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        source = Source(data.decode(errors="replace").removeprefix(_BOM), file=file)
        position = source.position_at(len(data[: error.start].decode().removeprefix(_BOM)))
        message = f"the byte 0x{data[error.start]:02X} is not UTF-8"
        is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        hint = f"Save the file as UTF-8{', not UTF-16' if is_utf_16 else ''}."
        raise _error(source, codes.FORBIDDEN_CHARACTER, message, position, hint) from error
    source = Source(text.removeprefix(_BOM), file=file)
    found = source.find_forbidden()
    if found is not None:
        message = f"the character U+{ord(source.text[found]):04X} is not allowed"
        hint = "Remove it, or write it as an escape inside double quotes."
        position = source.position_at(found)
        raise _error(source, codes.FORBIDDEN_CHARACTER, message, position, hint)
    return source


def _refuse_directives(source: Source) -> None:
    """Refuses `%TAG` before the parser sees it: many of them cost it the square of their number."""
    match = _DIRECTIVE.match(source.text)
    if match is None:
        return
    position = source.position_at(match.end() - 1)
    line = source.lines[position.line - 1]
    if line.startswith("%TAG"):
        raise _error(source, codes.TAG, "tags of one's own are not allowed", position)
    message = f"the directive {quote(line)} is not allowed"
    raise _error(source, codes.SYNTAX, message, position)


def _refuse_rest(source: Source, end: Mark) -> None:
    match = _AFTER_END.match(source.text, end.index)
    start = match.end() if match else end.index
    if start == len(source.text):
        return
    position = source.position_at(start)
    if source.text.startswith(("---", "%"), start):
        message = "a second document begins here; a file holds one"
        hint = 'Put it into a file of its own, or remove the "---".'
        raise _error(source, codes.SEVERAL_DOCUMENTS, message, position, hint)
    message = "nothing may follow here: the document has ended"
    raise _error(source, codes.SYNTAX, message, position)


def _syntax_error(source: Source, error: MarkedYAMLError) -> YamlError:
    problem: Mark = error.problem_mark or error.context_mark or TEXT_START
    position = source.position(problem)
    opening = source.position(error.context_mark) if error.context_mark else position
    line = source.lines[position.line - 1]
    fault = explain(
        Complaint(
            problem=error.problem or "",
            context=error.context or "",
            at_end=not source.text[problem.index :].strip(),
            rest=line[position.column - 1 :],
            line=line,
        )
    )
    message = fault.message
    if fault.within:
        begins = f"line {opening.line}, column {opening.column}"
        message += f", in the {fault.within} that begins at {begins}"
    place = opening if fault.opening else position
    return _error(source, fault.code, message, place, fault.hint)


def _error(
    source: Source, code: Code, message: str, position: Position, hint: str = ""
) -> YamlError:
    return YamlError(source.finding(code, message, position, hint=hint))
