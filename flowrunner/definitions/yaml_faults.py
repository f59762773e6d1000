"""What the parser complains about, in words that help the person who wrote the file.

The parser speaks of tokens and contexts. Each of its complaints has a plain sentence here, and the
classic traps a hint. Where to point and what to raise is the work of
`flowrunner.definitions.yaml_reader`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from flowrunner.dataclass import dataclass
from flowrunner.definitions import codes
from flowrunner.definitions.codes import Code
from flowrunner.definitions.source import quote

_EXPRESSION_HINT = 'Quote the expression: "${{ … }}".'
_TEMPLATE_HINT = "This looks like a template of Helm or Jinja; list it in .flowrunnerignore."
_TEMPLATE = re.compile(r"\{\{-|\{\{\s*\.|\{%")

TAG_HINT = 'Quote a text that begins with "!".'
"""For a text that YAML takes for a tag."""

TOO_DEEP_MESSAGE = "lists and maps are nested more than 50 deep"
"""Said by us, and where the parser gives up first: it reads ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a complaint of the parser is told.

    Attributes:
        opening: True when the fault is where the construct begins, not where reading stopped.
        within: What the parser was reading, when it helps to know where that begins.
    """

    message: str
    hint: str = ""
    code: Code = codes.SYNTAX
    opening: bool = False
    within: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What the parser said and what stands there.

    Attributes:
        context: What it was reading, as in "while scanning a tag".
        at_end: Whether it had come to the end of the file.
        rest: The rest of the line where it stopped.
        line: That whole line.
    """

    problem: str
    context: str
    at_end: bool
    rest: str
    line: str


_BAD_ESCAPE_HINT = "Use single quotes for a text with backslashes, or double each backslash."
_SLANTED = "\u201c\u201d"
_SLANTED_HINT = 'Write straight quotation marks ("): others are letters for YAML.'
_TAB_FAULT = Fault(message="a tab stands where spaces belong", hint="Indent with spaces.")

_FAULTS: Mapping[str, Fault] = {
    "mapping values are not allowed in this context": Fault(
        message='a ":" is not allowed here',
        hint='Quote the value if ": " is part of it; else check the indentation.',
    ),
    "could not find expected ':'": Fault(
        message='this is neither "key: value" nor part of the value above',
        hint='Write a space after the ":" of a key, and indent a text below its key.',
        opening=True,
    ),
    "block sequence entries are not allowed in this context": Fault(
        message="a list item is not allowed here",
        hint='Begin the list on the line below its key, or quote a text that begins with "- ".',
    ),
    "mapping keys are not allowed in this context": Fault(
        message="a key is not allowed here", hint='Quote a text that begins with "? ".'
    ),
    "found unexpected document indicator": Fault(
        message='a "---" or "..." line stands inside a text in quotes',
        hint="Close the quotes before it, or indent the line.",
    ),
    "found unknown escape character": Fault(
        message="double quotes do not know this escape", hint=_BAD_ESCAPE_HINT
    ),
    "did not find expected hexdecimal number": Fault(
        message="this escape needs hexadecimal digits", hint=_BAD_ESCAPE_HINT
    ),
    "found invalid Unicode character escape code": Fault(
        message="this escape names no character",
        hint="Write the character itself, or beyond U+FFFF an escape such as \\U0001F600.",
    ),
    "found a tab character that violates indentation": _TAB_FAULT,
    "found a tab character where an indentation space is expected": _TAB_FAULT,
    "did not find expected comment or line break": Fault(
        message='text stands on the line of "|" or ">"',
        hint='Begin the text on the next line; quote a value that begins with "|" or ">".',
    ),
    "found an indentation indicator equal to 0": Fault(
        message="a block of text cannot be indented by 0"
    ),
    "did not find expected alphabetic or numeric character": Fault(
        message='a value cannot begin with "*" or "&" unless a name follows',
        hint='Quote the value, as in "* * * * *".',
        opening=True,
    ),
    "did not find expected ',' or ']'": Fault(
        message='a "," or "]" is missing before this',
        hint="Quote an item that contains a comma, a bracket or a quotation mark.",
        within="list",
    ),
    "did not find expected ',' or '}'": Fault(
        message='a "," or "}" is missing before this',
        hint="Quote a value that contains a comma, a brace or a quotation mark.",
        within="map",
    ),
    "did not find expected key": Fault(
        message="this does not belong here",
        hint="Check the indentation; nothing may follow a closing quotation mark.",
        within="map",
    ),
    "did not find expected '-' indicator": Fault(
        message="this is no list item",
        hint='Check the indentation; every item of a list begins with "- ".',
        within="list",
    ),
    "did not find expected node content": Fault(message="a value is missing before this"),
    "found undefined tag handle": Fault(
        message="this tag is not allowed",
        hint=TAG_HINT,
        code=codes.TAG,
    ),
    "exceeded maximum nesting depth": Fault(message=TOO_DEEP_MESSAGE, code=codes.TOO_DEEP),
    "did not find expected <document start>": Fault(message='a "---" line is missing before this'),
    "found incompatible YAML document": Fault(message="only YAML 1.1 and 1.2 can be read"),
    "found duplicate %YAML directive": Fault(message="the %YAML line stands here again"),
}

_NEVER_CLOSED: Mapping[str, str] = {
    "while parsing a flow sequence": 'the "[" here is never closed',
    "while parsing a flow mapping": 'the "{" here is never closed',
    "while scanning a quoted scalar": "the quotation mark here is never closed",
}

_BAD_TAG = Fault(message="this tag is malformed", hint=TAG_HINT, code=codes.TAG, opening=True)
_BAD_DIRECTIVE = Fault(
    message="this is no directive of YAML",
    hint='Quote a text that begins with "%".',
    opening=True,
)

_BY_CONTEXT: Mapping[str, Fault] = {
    "while scanning a tag": _BAD_TAG,
    "while parsing a tag": _BAD_TAG,
    "while scanning a directive": _BAD_DIRECTIVE,
    "while scanning a %YAML directive": _BAD_DIRECTIVE,
}


def explain(complaint: Complaint) -> Fault:
    """Returns how to tell a complaint; an unknown one in the parser's own words."""
    if complaint.at_end and complaint.context in _NEVER_CLOSED:
        return Fault(message=_NEVER_CLOSED[complaint.context], opening=True)
    if complaint.problem == "found character that cannot start any token":
        return _bad_start(complaint.rest)
    fault = _FAULTS.get(complaint.problem) or _BY_CONTEXT.get(complaint.context)
    if fault is None:
        return Fault(message=f"this is not YAML: {complaint.problem}")
    if any(mark in complaint.line for mark in _SLANTED):
        return replace(fault, hint=_SLANTED_HINT)
    if complaint.context.startswith("while parsing a flow"):
        return replace(fault, hint=braces_hint(complaint.line) or fault.hint)
    return fault


def braces_hint(line: str) -> str:
    """Returns the hint for a line with `{{` where YAML takes it for a mapping; else nothing."""
    if _TEMPLATE.search(line):
        return _TEMPLATE_HINT
    return _EXPRESSION_HINT if "{{" in line else ""


def _bad_start(rest: str) -> Fault:
    if rest.startswith("\t"):
        return _TAB_FAULT
    if rest.startswith("%") and "%}" in rest:
        return Fault(message='a value cannot begin with "%"', hint=_TEMPLATE_HINT)
    return Fault(message=f"a value cannot begin with {quote(rest[:1])}", hint="Quote the value.")
