"""The pages of the documentation, taken apart for the tests that compare them with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = (
    *sorted(DOCS.glob("*.md")),
    *(
        ROOT / f"{name}.md"
        for name in ("README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY")
    ),
)

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")


def read(name: str) -> str:
    """Returns a page by its path in the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def yaml_examples(text: str) -> list[str]:
    """Returns the YAML blocks of a page."""
    return examples(text, "yaml")


def examples(text: str, language: str) -> list[str]:
    """Returns the blocks of a page in one language."""
    return [block for found, block in _FENCED.findall(text) if found == language]


def prose(text: str) -> str:
    """Returns a page without its fenced blocks."""
    return _FENCED.sub("", text)


def section(text: str, heading: str) -> str:
    """Returns what stands below a heading, up to the next heading of the same or a higher level."""
    level = heading.split(" ", 1)[0]
    begin = text.index(f"\n{heading}\n")
    rest = text[begin + len(heading) + 2 :]
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """Returns the cells of every table row, headings and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in _CELL.split(line)[1:-1]] for line in lines]
    is_rule = [set("".join(cells)) <= set("-") and bool("".join(cells)) for cells in found]
    heads = {index - 1 for index, rule in enumerate(is_rule) if rule}
    return [c for i, c in enumerate(found) if not is_rule[i] and i not in heads]


def code_spans(text: str) -> list[str]:
    """Returns what stands in backticks, fenced blocks left out."""
    return _CODE.findall(prose(text))


def words_in_code(text: str) -> set[str]:
    """Returns every word that stands in backticks."""
    return {word for span in code_spans(text) for word in re.findall(r"[\w.-]+", span)}


def links(text: str) -> Iterator[tuple[str, str]]:
    """Yields file and anchor of each link within the checkout; either may be empty."""
    for target in _LINK.findall(prose(text)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Returns the anchors of the headings, made as GitHub makes them."""
    titles = _HEADING.findall(prose(text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
