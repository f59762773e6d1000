"""What to say about a word that is not known: the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_LIST = 20
_LARGEST_SEARCH = 1_000
_LONGEST_WORD = 100


def nearest_word(word: str, known: Iterable[str]) -> str:
    """Returns the known word that is most like it; empty when none is.

    Words beyond 100 characters are compared by their beginning, and among more than 1,000 known
    words there is no search: comparing is slow, and a file may hold many mistakes.
    """
    words = sorted(known)
    if len(words) > _LARGEST_SEARCH:
        return ""
    close = difflib.get_close_matches(word[:_LONGEST_WORD], words, n=1)
    return close[0] if close else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Returns the hint with the nearest word; empty when there is none."""
    meant = nearest_word(word, known)
    return f"did you mean {meant!r}?" if meant else ""


def known_here(known: Iterable[str]) -> str:
    """Returns the hint with all known words; empty when they are none or many."""
    words = sorted(known)
    return f"known here: {', '.join(words)}" if 0 < len(words) <= _LONGEST_LIST else ""


def meant_or_known(word: str, known: Iterable[str]) -> str:
    """Returns the hint with the nearest word, else with the known ones when they are few."""
    words = list(known)
    return did_you_mean(word, words) or known_here(words)
