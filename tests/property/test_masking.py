"""What masking promises for every text, every secret and every way to cut the stream."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.secrets.forms import SHORTEST_VALUE, forms_of
from flowrunner.secrets.masking import HiddenTexts
from flowrunner.secrets.search import Searcher

# Few letters, so that secrets occur, repeat and overlap by chance.
SECRETS = st.lists(st.text(alphabet="ab\n ", min_size=1, max_size=8), max_size=4)
CHUNKS = st.lists(st.text(alphabet="ab\n c", max_size=12).map(str.encode), max_size=8)


def masked(secrets: list[str], chunks: list[bytes]) -> bytes:
    masker = HiddenTexts(secrets).masker()
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
    masker = HiddenTexts(secrets).masker()
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


LETTERS = st.text(alphabet="aB1 \n'\"\\/$+%ü\t", min_size=4, max_size=24)


@st.composite
def printed_forms(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """Returns a secret, and output that has several of its forms in it, cut anywhere."""
    secret = draw(LETTERS)
    pieces = [*sorted(forms_of([secret])), b"-", b"\n", b"="]
    data = b"".join(draw(st.lists(st.sampled_from(pieces), min_size=1, max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    ends = [*cuts, len(data)]
    return secret, [data[start:end] for start, end in zip([0, *cuts], ends, strict=True)]


@given(printed_forms())
def test_no_form_of_a_secret_survives(case: tuple[str, list[bytes]]) -> None:
    """However it is encoded or quoted, and wherever the stream is cut."""
    secret, chunks = case
    output = masked([secret], chunks)
    assert [form for form in forms_of([secret]) if form in output] == []


@given(LETTERS, CHUNKS)
def test_text_without_a_form_is_unchanged(secret: str, chunks: list[bytes]) -> None:
    """What holds no secret comes out as it went in."""
    whole = b"".join(chunks)
    if not any(form in whole for form in forms_of([secret])):
        assert masked([secret], chunks) == whole


@given(
    st.lists(st.binary(min_size=1, max_size=90), max_size=60),
    st.lists(st.binary(max_size=200), max_size=3),
    st.data(),
)
def test_every_text_is_found_where_it_stands(
    texts: list[bytes], around: list[bytes], data: st.DataObject
) -> None:
    """Samples at a distance miss nothing, for few texts and for many, short and long."""
    if texts:
        hidden = data.draw(st.sampled_from(texts))
        around = [hidden, *around] if not around else [around[0], hidden, *around[1:]]
    whole = b"".join(around)
    first = min(
        ((at, -len(text)) for text in texts if (at := whole.find(text)) != -1), default=None
    )
    found = Searcher(texts).found_in(whole).next_from(0, len(whole))
    assert found == (None if first is None else (first[0], first[0] - first[1]))
    assert Searcher(texts).occurs_in(whole) is (first is not None)
