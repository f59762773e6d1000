"""The hint "planned" says what to do until then, where there is something to do."""

from __future__ import annotations

import pytest

from flowrunner.definitions.planned import PLANNED_WORDS
from flowrunner.definitions.ways_round import PLANNED_HINT, WAYS_ROUND, planned_hint

WAYS = [(kind, word) for kind, words in WAYS_ROUND.items() for word in words]


@pytest.mark.parametrize(("kind", "word"), WAYS, ids=lambda text: text)
def test_only_planned_words_have_a_way_round(kind: str, word: str) -> None:
    """A word that works has nothing to be worked around: its entry leaves with it."""
    assert word in PLANNED_WORDS[kind]


def test_way_round_follows_the_word_planned() -> None:
    """The hint first says that the word is no mistake, then what does the same."""
    assert planned_hint("node-type", "http") == (
        f"{PLANNED_HINT}; until then call curl --fail in a script"
    )


@pytest.mark.parametrize(
    ("kind", "word"), [("flow", "protect"), ("auth-type", "ldap"), ("unheard-of", "x")]
)
def test_word_without_a_way_round_is_planned_alone(kind: str, word: str) -> None:
    """Where nothing does the same, nothing is promised."""
    assert planned_hint(kind, word) == PLANNED_HINT
