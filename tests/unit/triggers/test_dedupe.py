"""Promises of `flowrunner.triggers.dedupe`: which delivery was here before."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowrunner.model.ids import ExecutionId
from flowrunner.storage.memory import MemoryStorage
from flowrunner.triggers.dedupe import SAME_BODY_S, Duplicates
from tests.fakes.clock import FakeClock
from tests.fakes.ids import sequential_id
from tests.fakes.inline_threads import run_inline
from tests.fakes.records import make_execution

HOOK, OTHER_HOOK = "default/a/push", "default/b/push"
HOUR = 3600.0
FIRST = sequential_id(1)


class World:
    """Deliveries of one hook, accepted or found."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.storage = MemoryStorage()
        self.restart()

    def restart(self) -> None:
        self.duplicates = Duplicates(self.storage.executions, self.clock)

    def key(self, identity: str = "id:1", hook: str = HOOK, window_s: float = HOUR) -> str:
        return self.duplicates.keys(hook, identity, window_s).start_key

    def find(
        self, identity: str = "id:1", hook: str = HOOK, window_s: float = HOUR
    ) -> ExecutionId | None:
        return run_inline(self.duplicates.find(self.duplicates.keys(hook, identity, window_s)))

    def accept(self, number: int = 1, identity: str = "id:1") -> None:
        """Accepts a delivery now."""
        execution = make_execution(number, start_key=self.key(identity))
        kept = replace(execution, created_at=self.clock.now())

        async def create() -> None:
            await self.storage.executions.create(kept)

        run_inline(create())


@pytest.fixture
def world() -> World:
    return World()


# By identity


def test_first_delivery_is_new(world: World) -> None:
    """An identity that was not here before is found nowhere."""
    assert world.find() is None


def test_second_delivery_is_found(world: World) -> None:
    """A copy within the window is answered with the execution of the first."""
    world.accept()
    assert world.find() == FIRST


@pytest.mark.parametrize(
    ("identity", "hook"),
    [
        pytest.param("id:2", HOOK, id="other-id"),
        pytest.param("id:1", OTHER_HOOK, id="other-hook"),
        pytest.param("id:1 ", HOOK, id="almost-the-same"),
    ],
)
def test_other_delivery_is_new(world: World, identity: str, hook: str) -> None:
    """Another id, or the same id at another hook, is another delivery."""
    world.accept()
    assert world.find(identity, hook) is None
    assert world.key(identity, hook) != world.key()


@pytest.mark.parametrize("begin", [0, 1, 1800, 3599, 3599.999])
@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param(0, FIRST, id="at-once"),
        pytest.param(1, FIRST, id="a-second-later"),
        pytest.param(HOUR - 0.001, FIRST, id="just-within"),
        pytest.param(HOUR, FIRST, id="at-the-end"),
        pytest.param(HOUR + 0.001, None, id="just-after"),
        pytest.param(1.5 * HOUR, None, id="later"),
        pytest.param(2 * HOUR, None, id="much-later"),
        pytest.param(100 * HOUR, None, id="days-later"),
    ],
)
def test_window_holds_from_the_first_delivery(
    world: World, begin: float, after: float, expected: ExecutionId | None
) -> None:
    """The window counts from the first delivery, wherever in the hour that came."""
    world.clock.advance(begin)
    world.accept()
    before = world.key()
    world.clock.advance(after)
    assert world.find() == expected
    if expected is None:
        assert world.key() != before


def test_identity_may_come_again_after_its_window(world: World) -> None:
    """What came after the window is found in its turn."""
    world.accept(1)
    world.clock.advance(HOUR + 1)
    world.accept(2)
    assert world.find() == sequential_id(2)
    world.clock.advance(HOUR)
    assert world.find() == sequential_id(2)


def test_identity_outlives_a_restart(world: World) -> None:
    """Accepted deliveries are known by the store, not by memory."""
    world.accept()
    world.restart()
    assert world.find() == FIRST


@pytest.mark.parametrize("window_s", [0.5, 1.0, 86_400.0, 100 * 365 * 86_400.0])
def test_any_window_works(world: World, window_s: float) -> None:
    """Windows from fractions of a second to a hundred years have keys."""
    assert world.find(window_s=window_s) is None
    assert world.key(window_s=window_s) == world.key(window_s=window_s)


def test_key_is_short_and_plain_whatever_the_identity(world: World) -> None:
    """An identity of any length and content gives a key that every store can keep."""
    key = world.key("x" * 1_000_000 + "\0\n\ud800é")
    assert key.isascii()
    assert len(key) < 200


# By body


def test_same_body_is_found_for_five_minutes(world: World) -> None:
    """A signed body is a duplicate for 5 minutes from the moment it was accepted."""
    world.duplicates.remember_body(HOOK, "body", FIRST)
    assert SAME_BODY_S == 300
    for seconds, expected in ((0, FIRST), (299, FIRST), (1, FIRST), (0.5, None), (600, None)):
        world.clock.advance(seconds)
        assert world.duplicates.find_body(HOOK, "body") == expected


def test_other_body_is_new(world: World) -> None:
    """Another body, or the same at another hook, is another delivery."""
    world.duplicates.remember_body(HOOK, "body", FIRST)
    assert world.duplicates.find_body(HOOK, "body ") is None
    assert world.duplicates.find_body(HOOK, "") is None
    assert world.duplicates.find_body(OTHER_HOOK, "body") is None
    assert world.duplicates.find_body(HOOK + "\0", "body") is None


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_body_is_remembered_by_a_clock_that_does_not_jump(world: World, jump: float) -> None:
    """Setting the clock of the host neither forgets a body nor remembers it for longer."""
    world.duplicates.remember_body(HOOK, "body", FIRST)
    world.clock.jump(jump)
    assert world.duplicates.find_body(HOOK, "body") == FIRST
    world.clock.advance(SAME_BODY_S + 1)
    assert world.duplicates.find_body(HOOK, "body") is None


def test_body_accepted_anew_counts_from_then(world: World) -> None:
    """Each acceptance begins 5 minutes of its own, in whatever order they came."""
    second = sequential_id(2)
    world.duplicates.remember_body(HOOK, "one", FIRST)
    world.clock.advance(10)
    world.duplicates.remember_body(HOOK, "two", FIRST)
    world.clock.advance(10)
    world.duplicates.remember_body(HOOK, "one", second)
    world.clock.advance(295)
    assert world.duplicates.find_body(HOOK, "two") is None
    assert world.duplicates.find_body(HOOK, "one") == second
    world.clock.advance(10)
    assert world.duplicates.find_body(HOOK, "one") is None


@pytest.mark.heavy
def test_memory_of_bodies_is_bounded(world: World) -> None:
    """At most 100,000 bodies are remembered; the oldest goes first."""
    for number in range(100_001):
        world.duplicates.remember_body(HOOK, str(number), FIRST)
    assert world.duplicates.find_body(HOOK, "0") is None
    assert world.duplicates.find_body(HOOK, "1") == FIRST
    assert world.duplicates.find_body(HOOK, "100000") == FIRST


def test_expired_bodies_are_forgotten(world: World) -> None:
    """Memory does not grow with time."""
    for number in range(100):
        world.duplicates.remember_body(HOOK, str(number), FIRST)
    world.clock.advance(SAME_BODY_S + 1)
    world.duplicates.find_body(HOOK, "anything")
    assert not world.duplicates._bodies


# In turn


def test_copies_pass_one_after_the_other(world: World) -> None:
    """While one copy is being accepted the others wait, and no others do."""
    order: list[str] = []

    async def pass_through(name: str, *identities: str) -> None:
        with world.duplicates.turn(HOOK, *identities) as turn:
            await turn.come()
            order.append(f"{name} in")
            await asyncio.sleep(1)
            order.append(f"{name} out")

    async def story() -> None:
        await asyncio.gather(
            pass_through("first", "body:1", "id:1"),
            pass_through("same-body", "body:1", "id:2"),
            pass_through("same-id", "body:2", "id:1"),
            pass_through("other", "body:3", "id:3"),
            pass_through("nothing-shared", "", ""),
            pass_through("nothing-either", ""),
        )

    run_inline(story())
    assert order[:4] == ["first in", "other in", "nothing-shared in", "nothing-either in"]
    assert order.index("first out") < order.index("same-body in")
    assert order.index("first out") < order.index("same-id in")


def test_turn_that_fails_lets_the_next_pass(world: World) -> None:
    """A copy that was not accepted leaves its turn to the next one."""

    async def story() -> None:
        with pytest.raises(RuntimeError), world.duplicates.turn(HOOK, "id:1"):
            raise RuntimeError
        with world.duplicates.turn(HOOK, "id:1") as turn:
            assert not turn.is_behind

    run_inline(story())


def test_identity_given_twice_waits_for_nobody(world: World) -> None:
    """A delivery whose id is its body does not wait for itself."""

    async def story() -> None:
        with world.duplicates.turn(HOOK, "body:1", "body:1") as turn:
            assert not turn.is_behind

    run_inline(story())


def test_turns_leave_nothing_behind(world: World) -> None:
    """No lock outlives the deliveries that share it."""

    async def story() -> None:
        with world.duplicates.turn(HOOK, "body:1", "id:1"):
            assert len(world.duplicates._turns) == 2

    run_inline(story())
    assert not world.duplicates._turns


@pytest.mark.parametrize("is_handed_over", [False, True], ids=["waiting", "handed-over"])
def test_copy_that_leaves_the_line_holds_nobody_up(world: World, *, is_handed_over: bool) -> None:
    """A copy that is cancelled while it waits, or as its turn comes, leaves it to the next one."""
    order: list[str] = []

    async def pass_through(name: str) -> None:
        with world.duplicates.turn(HOOK, "body:0", "id:1") as turn:
            if turn.is_behind:
                await turn.come()
            order.append(name)

    async def story() -> None:
        names = ("left", "next")
        with world.duplicates.turn(HOOK, "id:1"):
            leaving, staying = (asyncio.create_task(pass_through(name)) for name in names)
            await asyncio.sleep(0)
            if not is_handed_over:
                leaving.cancel()
        leaving.cancel()
        await staying
        assert leaving.cancelled() or leaving.cancelling()

    run_inline(story())
    assert order == ["next"]
    assert not world.duplicates._turns
