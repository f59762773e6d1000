"""A definition as text says what it said as objects."""

from __future__ import annotations

import json

import pytest

from flowrunner.model.digest import digest_of
from flowrunner.model.packed import PackedDefinition, laid_out, plain

DEFINITION = {"version": 1, "name": "a", "vars": {"ü": [1, 1.5, None, True], "s": "\udcff"}}


def test_packed_definition_reads_as_the_mapping() -> None:
    """Keys in order, values, length and equality are those of the definition."""
    packed = PackedDefinition(DEFINITION)
    assert list(packed) == list(DEFINITION)
    assert len(packed) == len(DEFINITION)
    assert packed["vars"] == DEFINITION["vars"]
    assert packed == DEFINITION
    assert packed == PackedDefinition(packed)
    assert packed != PackedDefinition({**DEFINITION, "name": "b"})
    assert packed != 1
    with pytest.raises(KeyError):
        packed["nodes"]


def test_order_of_keys_is_no_difference() -> None:
    """Two texts of the same definition are equal."""
    turned = dict(reversed(DEFINITION.items()))
    assert PackedDefinition(turned) == PackedDefinition(DEFINITION)


def test_what_was_unpacked_belongs_to_whoever_asked() -> None:
    """A change of it reaches nobody else; a plain definition is copied likewise."""
    packed = PackedDefinition(DEFINITION)
    for definition in (packed, DEFINITION):
        mine = plain(definition)
        mine["name"] = "mine"
        assert definition["name"] == "a"


def test_digest_survives() -> None:
    """What was packed has the digest it had."""
    whole = {"a": {"b": [1, 2.0, "ü"]}}
    assert digest_of(plain(PackedDefinition(whole))) == digest_of(whole)
    assert json.loads(json.dumps(plain(PackedDefinition(whole)))) == whole


def test_text_of_a_file_is_packed_without_its_lines() -> None:
    """What is laid out for persons takes no more memory than it must."""
    definition = {"name": "a", "nodes": [{"id": "b", "run": "one\n  two\n"}], "vars": {}}
    packed = PackedDefinition(json.dumps(definition, indent=2).encode())
    assert packed == definition
    assert b"\n" not in packed._text


MANY_LINES = {
    "version": 1,
    "name": "a",
    "nodes": [{"id": "b", "run": "one\n  two\n"}, {"id": "c", "type": "noop"}],
    "finally": [{"id": "d", "type": "noop"}],
    "vars": {"ü": [1, 2.5, None], "s": "\udcff"},
}


def test_definition_is_laid_out_for_persons() -> None:
    """Each key has a line, and each of several nodes; what is said is the same."""
    text = laid_out(MANY_LINES)
    assert json.loads(text.decode(errors="surrogatepass")) == MANY_LINES
    lines = text.decode(errors="surrogatepass").splitlines()
    assert lines[3:6] == [
        '    "nodes": [',
        '      {"id": "b", "run": "one\\n  two\\n"},',
        '      {"id": "c", "type": "noop"}',
    ]


def test_text_that_is_laid_out_is_laid_out_as_it_is() -> None:
    """Whoever writes it down need not unpack it, and gets what laying out would have given."""
    text = laid_out(MANY_LINES)
    kept = PackedDefinition(text, keep_lines=True)
    assert kept == MANY_LINES == plain(kept)
    assert laid_out(kept) is text
    assert laid_out(PackedDefinition(text)) == laid_out(PackedDefinition(MANY_LINES)) == text


def test_what_is_no_json_is_not_laid_out() -> None:
    """A record cannot hold what no reader would take."""
    with pytest.raises(ValueError, match="JSON compliant"):
        laid_out({"a": float("nan")})
