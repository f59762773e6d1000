"""Promises of `flowrunner.definitions.codes`: a table that can be looked up and relied on."""

from __future__ import annotations

import re

from flowrunner.definitions import codes, codes_host
from flowrunner.definitions.codes import CODES, Code


def test_codes_has_every_constant_under_its_identifier() -> None:
    """No two constants share an identifier and none is missing from the table."""
    constants = [
        value
        for page in (codes, codes_host)
        for value in vars(page).values()
        if isinstance(value, Code)
    ]

    assert len(constants) == len(CODES)
    assert all(CODES[constant.code] is constant for constant in constants)


def test_codes_are_well_formed_and_in_order() -> None:
    """Identifiers are FR and three digits, ascending, so that documents list them as they are."""
    assert all(re.fullmatch(r"FR[1-6][0-9]{2}", identifier) for identifier in CODES)
    assert list(CODES) == sorted(CODES)


def test_codes_explain_themselves() -> None:
    """Every code has a title of a few words and an explanation in whole sentences."""
    for code in CODES.values():
        assert 0 < len(code.title) <= 40
        assert code.explanation[0].isupper() or code.explanation.startswith(("`", "U"))
        assert code.explanation.endswith(".")
