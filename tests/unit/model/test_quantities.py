"""Durations and sizes mean what the format says, and say what is wrong when they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.quantities import (
    LARGEST_SIZE,
    LONGEST_DURATION,
    QuantityError,
    parse_duration,
    parse_size,
    render_duration,
    render_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("500ms", 0.5, id="milliseconds"),
        pytest.param("90s", 90, id="seconds"),
        pytest.param("15m", 900, id="minutes"),
        pytest.param("2h30m", 9000, id="two-units"),
        pytest.param("1d", 86_400, id="day-is-24-hours"),
        pytest.param("1w", 604_800, id="week"),
        pytest.param("1w1d1h1m1s1ms", 694_861.001, id="every-unit"),
        pytest.param("0s", 0, id="zero"),
    ],
)
def test_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """A duration is the sum of its parts, in seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        pytest.param(30, "write 30s", id="integer"),
        pytest.param("30", "write 30s", id="text-of-digits"),
        pytest.param(1.5, "write whole numbers", id="float"),
        pytest.param("-30", "write whole numbers", id="negative"),
    ],
)
def test_bare_number_as_duration_says_that_the_unit_is_missing(value: object, hint: str) -> None:
    """A bare number is refused with a message that names the missing unit and a usable hint."""
    with pytest.raises(QuantityError) as caught:
        parse_duration(value)
    assert "a duration needs a unit" in caught.value.message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("1.5h", id="fraction"),
        pytest.param("30m2h", id="wrong-order"),
        pytest.param("1m1m", id="unit-twice"),
        pytest.param("5M", id="capital-unit"),
        pytest.param("-5s", id="negative"),
        pytest.param(" 5s", id="leading-space"),
        pytest.param("5s\n", id="line-break"),
        pytest.param("\u0665s", id="foreign-digits"),
        pytest.param("9" * 5000 + "s", id="thousands-of-digits"),
        pytest.param("5219w", id="over-a-century"),
        pytest.param(True, id="boolean"),
        pytest.param(None, id="null"),
        pytest.param(["5s"], id="list"),
    ],
)
def test_what_is_no_duration_is_refused_with_a_hint(value: object) -> None:
    """Everything else is refused with a bounded message and a hint how to write it."""
    with pytest.raises(QuantityError) as caught:
        parse_duration(value)
    assert caught.value.code == "validation.quantity"
    assert len(caught.value.message) < 120
    assert "2h30m" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("512B", 512, id="bytes"),
        pytest.param("64KiB", 65_536, id="kibibytes"),
        pytest.param("20MiB", 20_971_520, id="mebibytes"),
        pytest.param("1GiB", 1_073_741_824, id="gibibytes"),
        pytest.param("1024TiB", LARGEST_SIZE, id="largest"),
    ],
)
def test_size_is_read_in_bytes(text: str, size: int) -> None:
    """A size is a number times a power of 1024, in bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("64KB", id="decimal-unit"),
        pytest.param("64kib", id="lower-case"),
        pytest.param("1.5MiB", id="fraction"),
        pytest.param("1MiB1KiB", id="two-units"),
        pytest.param("1025TiB", id="too-large"),
        pytest.param("", id="empty"),
        pytest.param(True, id="boolean"),
    ],
)
def test_what_is_no_size_is_refused_with_a_hint(value: object) -> None:
    """Everything else is refused with a hint that lists the units."""
    with pytest.raises(QuantityError) as caught:
        parse_size(value)
    assert "64KiB" in caught.value.hint


def test_bare_number_as_size_says_that_the_unit_is_missing() -> None:
    """A number of bytes without its unit is refused like a duration without one."""
    with pytest.raises(QuantityError, match="a size needs a unit"):
        parse_size(4096)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(0, "0s", id="zero"),
        pytest.param(0.3, "300ms", id="milliseconds"),
        pytest.param(90, "1m30s", id="minute-and-a-half"),
        pytest.param(86_400, "1d", id="day"),
    ],
)
def test_duration_is_rendered_with_the_largest_units(seconds: float, text: str) -> None:
    """A rendered duration uses the largest units that fit."""
    assert render_duration(seconds) == text


@given(st.integers(min_value=0, max_value=int(LONGEST_DURATION * 1000)))
def test_rendered_duration_reads_as_itself(milliseconds: int) -> None:
    """Reading what was rendered gives the same duration, to the millisecond."""
    seconds = milliseconds / 1000
    assert parse_duration(render_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=LARGEST_SIZE))
def test_rendered_size_reads_as_itself(size: int) -> None:
    """Reading what was rendered gives the same size, to the byte."""
    assert parse_size(render_size(size)) == size
