"""The promise of the secret type: nobody sees the text who does not ask for it by name."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable

import pytest

from flowrunner.model.secret import SecretValue

SECRET = SecretValue("hunter2")


@pytest.mark.parametrize(
    "show",
    [
        pytest.param(repr, id="repr"),
        pytest.param(str, id="str"),
        pytest.param(format, id="format"),
        pytest.param(lambda value: f"{value!r:>10} {value:<8}|", id="f-string"),
        pytest.param(lambda value: str([value, {"key": value}]), id="inside-others"),
    ],
)
def test_secret_prints_as_stars(show: Callable[[SecretValue], str]) -> None:
    """However a secret is turned into text, the text is stars."""
    shown = show(SECRET)
    assert "hunter2" not in shown
    assert "***" in shown


def test_reveal_gives_the_text() -> None:
    """Who needs the text says so."""
    assert SECRET.reveal() == "hunter2"


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(json.dumps, id="json"),
        pytest.param(pickle.dumps, id="pickle"),
        pytest.param(copy.deepcopy, id="copy"),
        pytest.param(vars, id="vars"),
    ],
)
def test_secret_is_not_written_by_accident(leak: Callable[[SecretValue], object]) -> None:
    """A serialiser that meets a secret fails instead of writing it."""
    with pytest.raises(TypeError):
        leak(SECRET)
