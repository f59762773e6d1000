"""What the parser in C makes of a text: the events of one document, or the first mistake.

Loaded for the first text that is not plain, and for positions that only events tell: the library
takes longer to load than most files to read.
"""

from __future__ import annotations

import re

from flowrunner.definitions import codes
from flowrunner.definitions.source import TEXT_START, Mark, Source, YamlError, quote
from flowrunner.definitions.yaml_composer import Composer
from flowrunner.definitions.yaml_events import MarkedYAMLError, StreamEndEvent, events_of
from flowrunner.definitions.yaml_faults import Complaint, explain

# Lines before the document that are no directive or a harmless one, then a directive.
_DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n?|\n)|%YAML[ \t][^\r\n]*(?:\r\n?|\n))*+%")

# What may follow the end of the document: space, comments and further "..." lines.
_AFTER_END = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*|\.\.\.(?=\s|\Z))*+")


def composed(source: Source) -> Composer:
    """Returns what has taken all events of a text.

    Raises:
        YamlError: The first thing wrong with it.
    """
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


def _refuse_directives(source: Source) -> None:
    """Refuses `%TAG` before the parser sees it: many of them cost it the square of their number."""
    match = _DIRECTIVE.match(source.text)
    if match is None:
        return
    position = source.position_at(match.end() - 1)
    line = source.lines[position.line - 1]
    if line.startswith("%TAG"):
        raise source.error(codes.TAG, "tags of one's own are not allowed", position)
    message = f"the directive {quote(line)} is not allowed"
    raise source.error(codes.SYNTAX, message, position)


def _refuse_rest(source: Source, end: Mark) -> None:
    match = _AFTER_END.match(source.text, end.index)
    start = match.end() if match else end.index
    if start == len(source.text):
        return
    position = source.position_at(start)
    if source.text.startswith(("---", "%"), start):
        message = "a second document begins here; a file holds one"
        hint = 'Put it into a file of its own, or remove the "---".'
        raise source.error(codes.SEVERAL_DOCUMENTS, message, position, hint)
    message = "nothing may follow here: the document has ended"
    raise source.error(codes.SYNTAX, message, position)


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
    return source.error(fault.code, message, place, fault.hint)
