"""The targets of `make fuzz`, without the fuzzer: they hold for its seeds, and for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS
from tests.profile import examples


def test_every_target_has_seeds() -> None:
    """No target begins with nothing, and no seeds are left without their target."""
    assert SEEDS.keys() == TARGETS.keys()
    assert all(SEEDS.values())


@pytest.mark.parametrize("name", TARGETS)
def test_promises_hold_for_the_seeds(name: str) -> None:
    """What the fuzzer begins with breaks nothing."""
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=examples(100))
@given(data=st.binary(max_size=80))
def test_promises_hold_for_any_bytes(name: str, data: bytes) -> None:
    """Nor does anything else, as far as it is tried here."""
    TARGETS[name](data)


@pytest.mark.parametrize("name", ["headers", "forgeries"])
def test_target_finds_a_hook_that_believes_everybody(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted comparison that always says yes is found by the seeds alone."""
    monkeypatch.setattr("flowrunner.triggers.signatures.hmac.compare_digest", lambda _, __: True)

    assert any(breaks(name, seed) for seed in SEEDS[name])


def breaks(name: str, data: bytes) -> bool:
    try:
        TARGETS[name](data)
    except AssertionError as error:
        return "believes" in str(error)
    return False
