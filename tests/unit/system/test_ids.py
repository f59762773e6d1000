"""Execution ids: well-formed, unique, sorted by creation."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.system.ids import BlockRandom, IdSource, Uuid7Ids
from tests.fakes.clock import DEFAULT_START, FakeClock
from tests.fakes.ids import SequentialIds, sequential_id


class FixedRandom:
    """Randomness that is the same byte for ever."""

    def __init__(self, byte: int) -> None:
        self._byte = byte

    def randbytes(self, n: int, /) -> bytes:
        return bytes([self._byte]) * n


def make_ids(clock: FakeClock) -> Uuid7Ids:
    return Uuid7Ids(clock, random.Random(7))


def milliseconds(text: str) -> int:
    return UUID(text).int >> 80


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    """The layout is the one of RFC 9562, in canonical text."""
    text = make_ids(FakeClock()).execution_id()
    value = UUID(text)
    assert (value.version, value.variant) == (7, RFC_4122)
    assert milliseconds(text) == int(DEFAULT_START.timestamp() * 1000)
    assert str(value) == text


def test_all_bits_of_the_layout_hold_with_extreme_randomness() -> None:
    """No random bit spills over into version, variant, time or the counter's spare bit."""
    low = Uuid7Ids(FakeClock(), FixedRandom(0x00)).execution_id()
    high = Uuid7Ids(FakeClock(), FixedRandom(0xFF)).execution_id()
    assert low[13:] == "-7000-8000-000000000000"
    assert high[13:] == "-77ff-bfff-ffffffffffff"
    assert low[:13] == high[:13]


def test_ids_rise_within_one_millisecond() -> None:
    """More ids than the counter holds keep their order though the clock stands still."""
    ids = make_ids(FakeClock())
    made = [ids.execution_id() for _ in range(10_000)]
    assert all(first < second for first, second in pairwise(made))


def test_ids_rise_when_the_clock_goes_back() -> None:
    """A wall clock set back an hour does not put new executions before old ones."""
    clock = FakeClock()
    ids = make_ids(clock)
    first = ids.execution_id()
    clock.jump(-3600)
    second = ids.execution_id()
    assert first < second
    assert milliseconds(second) == milliseconds(first)


def test_ids_carry_the_new_time_when_the_clock_moves_on() -> None:
    """The time part follows the wall clock."""
    clock = FakeClock()
    ids = make_ids(clock)
    ids.execution_id()
    clock.advance(1.5)
    later = DEFAULT_START + timedelta(seconds=1.5)
    assert milliseconds(ids.execution_id()) == int(later.timestamp() * 1000)


def test_two_sources_differ_by_their_randomness() -> None:
    """Two hosts at the same moment do not make the same id."""
    clock = FakeClock()
    first, second = Uuid7Ids(clock, random.Random(1)), Uuid7Ids(clock, random.Random(2))
    assert first.execution_id() != second.execution_id()


def test_sequential_ids_count() -> None:
    """The fake makes ids that a test can foretell, in the form of the real ones."""
    ids: IdSource = SequentialIds()
    assert [ids.execution_id(), ids.execution_id()] == [sequential_id(1), sequential_id(2)]
    assert UUID(sequential_id(1)).version == 7


@given(sizes=st.lists(st.integers(0, 50), max_size=60), block=st.integers(1, 64))
def test_bytes_of_a_block_are_given_out_once(sizes: list[int], block: int) -> None:
    """Whatever is asked for has its length, and no two requests share randomness."""
    source = BlockRandom(block)
    given_out = [source.randbytes(size) for size in sizes]

    assert [len(each) for each in given_out] == sizes
    long = [each for each in given_out if len(each) >= 12]  # shorter ones may be equal by chance
    assert len(set(long)) == len(long)
