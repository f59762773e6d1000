import pytest

from flowrunner.model.patterns import LONGEST_PATTERN, PatternError, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "is_in"),
    [
        pytest.param("b", "abc", True, id="somewhere"),
        pytest.param("^b", "abc", False, id="tied-to-the-start"),
        pytest.param("^abc$", "abc\n", False, id="dollar-allows-no-line-break"),
        pytest.param(r"^\d+$", "42", True, id="digits"),
        pytest.param(r"^\d+$", "٤٢", False, id="digits-of-ascii-only"),
        pytest.param(r"^\p{L}+$", "Größe", True, id="letters-of-every-script"),
        pytest.param("(?i)^main$", "MAIN", True, id="without-case"),
        pytest.param("^.$", "\ud800", True, id="a-lone-surrogate-is-one-unknown-character"),
    ],
)
def test_pattern_is_looked_for(pattern: str, text: str, is_in: object) -> None:
    """A pattern means what JSON Schema says it means, for any text."""
    assert parse_pattern(pattern).is_in(text) is is_in


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("(?=a)b", "looking ahead"),
        ("(?<!a)b", "looking ahead"),
        (r"(a)\1", "back reference"),
        ("[", "brackets"),
        ("\ud800", "brackets"),
        ("(a{1000}){1000}", "bounded"),
        ("a" * (LONGEST_PATTERN + 1), ""),
    ],
    ids=["ahead", "behind", "back-reference", "malformed", "surrogate", "huge", "long"],
)
def test_what_is_not_regular_is_refused(pattern: str, hint: str) -> None:
    """A pattern that could take more than linear time or much memory is refused with a hint."""
    with pytest.raises(PatternError) as caught:
        parse_pattern(pattern)
    assert caught.value.code == "pattern"
    assert hint in str(caught.value.details.get("hint", ""))


def test_catastrophic_pattern_is_linear() -> None:
    """The classic pattern that never ends elsewhere answers for a text of 1 MB."""
    assert not parse_pattern("^(a+)+$").is_in("a" * 1_000_000 + "b")
