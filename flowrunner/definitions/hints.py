"""What to say about a word that is not known: the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_LONGEST_LIST = 20
_LARGEST_SEARCH = 200
_LONGEST_WORD = 100


def nearest_word(word: str, known: Collection[str]) -> str:
    """Returns the known word that is most like it; empty when none is.

    Words beyond 100 characters are compared by their beginning, and among more than 200 known
    words there is no search: comparing is slow, and a file may hold many mistakes.
    """
    if len(known) > _LARGEST_SEARCH:
        return ""
    same = [each for each in sorted(known) if each.lower() == word.lower()]
    close = same or difflib.get_close_matches(word[:_LONGEST_WORD], sorted(known), n=1)
    return close[0] if close else ""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Returns the hint with the nearest word; empty when there is none."""
    meant = nearest_word(word, known)
    return f"did you mean {meant!r}?" if meant else ""


def known_here(known: Collection[str]) -> str:
    """Returns the hint with all known words; empty when they are none or many."""
    return f"known here: {', '.join(sorted(known))}" if 0 < len(known) <= _LONGEST_LIST else ""


def meant_or_known(word: str, known: Collection[str]) -> str:
    """Returns the hint with the nearest word, else with the known ones when they are few."""
    return did_you_mean(word, known) or known_here(known)
