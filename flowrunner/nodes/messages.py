"""Texts for a person: what `log` writes, what `fail` says, why an attempt failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowrunner.model.ids import Json
from flowrunner.model.values import text_of
from flowrunner.secrets.masking import HiddenTexts


def printable(value: Json) -> str:
    """Returns a value as text that every encoding of a log or an answer can carry.

    JSON from outside may hold half a surrogate pair, which UTF-8 cannot say: it is written as
    its escape.
    """
    return text_of(value).encode(errors="backslashreplace").decode()


def masked(text: Json, hidden: Iterable[str]) -> str:
    """Returns printable text without the given texts: stars stand for each."""
    data = HiddenTexts(hidden).mask(printable(text).encode())
    return data.decode(errors="replace")


def masked_details(details: Mapping[str, Json], hidden: Iterable[str]) -> dict[str, Json]:
    """Returns bounded facts with the given texts as stars in all of theirs."""
    hidden = tuple(hidden)
    return {
        name: masked(value, hidden) if isinstance(value, str) else value
        for name, value in details.items()
    }


def one_line(text: str) -> str:
    """Returns text with a space in the place of each run of white space or control characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def bounded(text: str, most: int) -> str:
    """Returns text of so many characters at most; an ellipsis stands for what is left out."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
