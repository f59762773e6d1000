"""The promises of masking, case by case; `tests/property/test_masking.py` has them in general."""

from __future__ import annotations

import pytest

from flowrunner.secrets.masking import HiddenTexts

KEY = "-----BEGIN KEY-----\nMIIEpAIBAAKC\nab\n-----END KEY-----\n"


def masked(secrets: list[str], *chunks: str) -> str:
    masker = HiddenTexts(secrets).masker()
    return b"".join([*(masker.feed(chunk.encode()) for chunk in chunks), masker.flush()]).decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a hunter2 b", True, id="inside"),
        pytest.param("hunter", False, id="part"),
        pytest.param("MIIEpAIBAAKC", True, id="line-of-several"),
        pytest.param("abc", False, id="too-short"),
    ],
)
def test_what_would_be_masked_is_found(text: str, *, expected: bool) -> None:
    """Asked are those who refuse what holds a secret, instead of masking it."""
    assert HiddenTexts(["hunter2", KEY, "abc"]).occur_in(text.encode()) is expected


@pytest.mark.parametrize(
    ("secrets", "chunks", "expected"),
    [
        pytest.param(["hunter2"], ["a hunter2 b"], "a *** b", id="inside"),
        pytest.param(["hunter2"], ["hunter2hunter2"], "******", id="twice"),
        pytest.param(["hunter2"], ["hun", "ter", "2!"], "***!", id="across-chunks"),
        pytest.param(["hunter2"], ["hun", "dred"], "hundred", id="false-start"),
        pytest.param(["hunter2"], ["hunter"], "hunter", id="incomplete-at-the-end"),
        pytest.param(["abcd", "abcdefgh"], ["abcdefgh abcd"], "*** ***", id="longest-wins"),
        pytest.param(["abcd", "abcdefgh"], ["abcd", "efgh"], "***", id="longest-across-chunks"),
        pytest.param(["abcd", "abcdefgh"], ["abcd", "ef"], "***ef", id="shorter-after-all"),
        pytest.param(["abcd", "cdef"], ["abcdef"], "***ef", id="first-of-overlapping"),
        pytest.param(["aaaa"], ["aaaaaa", "a", "a"], "******", id="repeating"),
        pytest.param(["abc"], ["abc"], "abc", id="too-short"),
        pytest.param(["    "], ["a     b"], "a     b", id="white-space"),
        pytest.param(["pass word "], ["pass word."], "***.", id="space-around-is-optional"),
        pytest.param(["größe"], ["größe"], "***", id="not-ascii"),
        pytest.param([KEY], ["x\n" + KEY + "y"], "x\n***y", id="several-lines-whole"),
        pytest.param([KEY], ["> MIIEpAIBAAKC\r\n"], "> ***\r\n", id="one-line-of-several"),
        pytest.param([KEY], ["about"], "about", id="short-line-of-several"),
    ],
)
def test_secrets_become_stars(secrets: list[str], chunks: list[str], expected: str) -> None:
    """Each value is replaced wherever it begins, as the longest that fits."""
    assert masked(secrets, *chunks) == expected


def test_only_the_beginning_of_a_secret_is_held_back() -> None:
    """Output is not delayed more than it must be."""
    masker = HiddenTexts(["hunter2"]).masker()
    assert masker.feed(b"password: hun") == b"password: "
    assert masker.feed(b"gry\n") == b"hungry\n"


def test_without_secrets_data_passes_untouched() -> None:
    """A flow without secrets pays nothing."""
    data = b"anything"
    assert HiddenTexts([]).masker().feed(data) is data


def test_flushed_masker_starts_afresh() -> None:
    """What was flushed is not part of a later match."""
    masker = HiddenTexts(["hunter2"]).masker()
    assert masker.feed(b"hun") + masker.flush() == b"hun"
    assert masker.feed(b"ter2") + masker.flush() == b"ter2"
