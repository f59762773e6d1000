"""Renders the page that explains the codes of findings; `docs/findings.md` is its output.

For whoever looks a code up without the program at hand. The words are those of
`flowrunner.definitions.codes`, so the page and the command line cannot disagree.
"""

from __future__ import annotations

import textwrap

from flowrunner.definitions.codes import CODES, Code

_GROUPS = {
    "1": "The file and its YAML",
    "2": "Keys and their values",
    "3": "The graph and what it refers to",
    "4": "Expressions",
    "5": "Advice",
    "6": "This host",
}
"""First digit of a code → what it judges."""

_WIDTH = 100
"""Characters of a line: the page is also read raw."""

_HEAD = """\
# Findings

What `flowrunner validate` and the daemon say about files, by code. A code never changes its
meaning, its first digit names the check. Findings of 5xx are warnings: the flow is used all the
same. Findings of 6xx are made by `flowrunner validate --settings` alone.

This page is generated from `flowrunner/definitions/codes.py`.
"""


def render_codes_page() -> str:
    """Returns the whole page in Markdown: a section for each group, a heading for each code."""
    parts = [_HEAD]
    for digit, title in _GROUPS.items():
        parts.append(f"\n## {digit}xx: {title}\n")
        parts.extend(_section(code) for code in CODES.values() if code.code[2] == digit)
    return "".join(parts)


def _section(code: Code) -> str:
    text = textwrap.fill(code.explanation, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"\n### {code.code}: {code.title}\n\n{text}\n"
