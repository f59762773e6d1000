"""What masking promises for every text, every secret and every way to cut the stream."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.secrets.masking import SHORTEST_VALUE, Masker

# Few letters, so that secrets occur, repeat and overlap by chance.
SECRETS = st.lists(st.text(alphabet="ab\n ", min_size=1, max_size=8), max_size=4)
CHUNKS = st.lists(st.text(alphabet="ab\n c", max_size=12).map(str.encode), max_size=8)


def masked(secrets: list[str], chunks: list[bytes]) -> bytes:
    masker = Masker(secrets)
    return b"".join([*(masker.feed(chunk) for chunk in chunks), masker.flush()])


@given(SECRETS, CHUNKS)
def test_cutting_the_stream_changes_nothing(secrets: list[str], chunks: list[bytes]) -> None:
    """Masking any chunks gives what masking the whole gives."""
    assert masked(secrets, chunks) == masked(secrets, [b"".join(chunks)])


@given(SECRETS, CHUNKS)
def test_no_secret_survives(secrets: list[str], chunks: list[bytes]) -> None:
    """A value of at least four characters, not all white space, is nowhere in the output."""
    output = masked(secrets, chunks).decode()
    hidden = [value for value in secrets if len(value) >= SHORTEST_VALUE and value.strip()]
    assert [value for value in hidden if value in output] == []


@given(SECRETS, CHUNKS)
def test_nothing_else_is_changed(secrets: list[str], chunks: list[bytes]) -> None:
    """What is between the stars stands in the input in the same order."""
    whole = b"".join(chunks)
    at = 0
    for piece in masked(secrets, chunks).split(b"***"):
        at = whole.find(piece, at)
        assert at != -1
        at += len(piece)


@given(SECRETS, CHUNKS)
def test_less_than_the_longest_secret_is_held_back(secrets: list[str], chunks: list[bytes]) -> None:
    """However much has passed, what waits is the beginning of a secret and no more."""
    masker = Masker(secrets)
    for chunk in chunks:
        masker.feed(chunk)
    longest = max((len(value.encode()) for value in secrets), default=1)
    assert len(masker.flush()) < longest


@given(st.lists(st.text(alphabet="ab", min_size=4, max_size=9), min_size=1, max_size=4), CHUNKS)
def test_masking_agrees_with_a_regular_expression(secrets: list[str], chunks: list[bytes]) -> None:
    """Leftmost first and then longest, as an alternation sorted by length finds them."""
    longest_first = sorted(set(secrets), key=len, reverse=True)
    expected = re.sub("|".join(longest_first).encode(), b"***", b"".join(chunks))
    assert masked(secrets, chunks) == expected
