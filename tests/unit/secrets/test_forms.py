"""Forms of a secret, made by the programs that make them: masked output holds none of them."""

from __future__ import annotations

import base64
import json
import subprocess
from urllib.parse import quote, quote_plus

import pytest

from flowrunner.secrets.masking import HiddenTexts

AWKWARD = "pa's\"s \\w$o`r+d/ü&=!\t#1"
SHLEX = "import os, shlex, sys; sys.stderr.write(shlex.quote(os.environ['S']))"
SECRETS = [
    pytest.param("hunter2-hunter2", id="plain"),
    pytest.param(AWKWARD, id="awkward"),
    pytest.param("it''s'''here", id="runs-of-quotes"),
    pytest.param('first line\'s end\nsecond "line"\nthird\tline?', id="several-lines"),
    pytest.param("~/x y/*.txt,{a,b}", id="globs"),
]


def masked(secret: str, text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return HiddenTexts([secret]).mask(data).decode()


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", range(4))
def test_base64_is_hidden_wherever_the_secret_stands(
    secret: str, alphabet: type[bytes], before: int, after: int
) -> None:
    """At most a character at each end is left, which depends on what stands beside the secret."""
    data = b"~" * before + secret.encode() + b"?" * after
    left = masked(secret, alphabet(data)).replace("***", "")
    beside = len(base64.b64encode(b"~" * before + b"?" * after))
    assert len(left) <= beside + 3
    if not (before or after):
        assert left == ""


@pytest.mark.parametrize("secret", SECRETS)
def test_base64_without_padding_is_hidden(secret: str) -> None:
    """As tokens of JSON (RFC 7515) have it."""
    text = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=")
    assert masked(secret, b"<" + text + b">") == "<***>"


@pytest.mark.parametrize("width", [64, 76])
def test_base64_in_lines_is_hidden(width: int) -> None:
    """`base64` and `openssl base64` break what is longer than a line."""
    secret = "0123456789" * 30
    text = base64.b64encode(secret.encode()).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    assert set(masked(secret, "\n".join(lines)).split("\n")) == {"***"}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(quote, id="quote"),
        pytest.param(lambda s: quote(s, safe=""), id="quote-all"),
        pytest.param(lambda s: quote(s, safe="!'()*"), id="javascript"),
        pytest.param(quote_plus, id="form"),
        pytest.param(lambda s: quote_plus(s).lower() if s.islower() else quote(s), id="small-hex"),
        pytest.param(lambda s: json.dumps(s)[1:-1], id="json-ascii"),
        pytest.param(lambda s: json.dumps(s, ensure_ascii=False)[1:-1], id="json"),
        pytest.param(lambda s: json.dumps(s)[1:-1].replace("/", "\\/"), id="json-of-php"),
    ],
)
def test_encoded_secret_becomes_the_same_stars(secret: str, text: object) -> None:
    """The mask has one width, whatever it hides."""
    assert callable(text)
    assert masked(secret, f"a={text(secret)}&b") == "a=***&b"


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["bash", "-xc", ': "$S"'], id="bash-x"),
        pytest.param(["sh", "-xc", ': "$S"'], id="sh-x"),
        pytest.param(["bash", "-c", 'printf %q "$S" >&2'], id="printf-q"),
        pytest.param(["bash", "-c", "declare -p S >&2"], id="declare-p"),
        pytest.param(["bash", "-c", 'echo "${S@Q}" >&2'], id="at-q"),
        pytest.param(["sh", "-c", "export -p >&2"], id="export-p"),
        pytest.param(["python3", "-c", SHLEX], id="shlex"),
    ],
)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_what_shells_print_of_a_secret_is_hidden(
    secret: str, command: list[str], locale: str
) -> None:
    """Real shells quote it in their ways; none of its words is left."""
    env = {"S": secret, "PATH": "/usr/bin:/bin", "LC_ALL": locale}
    printed = subprocess.run(
        command, env=env, cwd="/", capture_output=True, check=True
    ).stderr  # they print where they are, too
    assert printed
    left = HiddenTexts([secret]).mask(printed).decode()
    assert "***" in left
    words = [word for word in secret.replace("\n", " ").replace("'", " ").split() if len(word) > 2]
    assert [word for word in words if word in left] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Ym9k", "Ym9k", id="of-a-short-value"),
        pytest.param("END", "END", id="short-line"),
    ],
)
def test_what_is_too_short_to_hide_has_no_forms(text: str, expected: str) -> None:
    """Three letters, and short lines of a key, would spoil ordinary output."""
    assert HiddenTexts(["bod", "BEGIN KEY\nEND\n"]).mask(text.encode()).decode() == expected
