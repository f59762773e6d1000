"""A daemon through lives of edits, slots, deliveries, failures and crashes, all out of one seed.

The same seed gives the same simulation, step by step. What must hold is judged by the oracle
while it goes on, and here once everything has come to rest.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

from flowrunner.errors import FlowError
from flowrunner.system.process import ExitStatus, SpawnRequest
from tests.fakes.simulated_disk import ROOM
from tests.fakes.simulated_host import Group
from tests.fakes.simulated_loop import Crash, SimulatedLoop
from tests.simulation.clients import Clients
from tests.simulation.flow_files import NAMES, broken_text, valid_flow
from tests.simulation.life import Ground, Life
from tests.simulation.oracle import Halt
from tests.simulation.processes import key_of_process
from tests.simulation.rest import judge_rest, judge_stop
from tests.simulation.slot_judge import LOOKED_AT_S

STEPS = 120
_LONGEST_REST_S = 24 * 3600.0
_LOOK_S = 60.0


class ViolationError(AssertionError):
    """A promise does not hold; says which, and how to see it again."""


class Simulation:
    """One simulation.

    Args:
        seed: Decides everything.
        prepare: Changes the ground before the first life, to plant a bug in it.
    """

    def __init__(self, seed: int, prepare: Callable[[Ground], None] = lambda _: None) -> None:
        self._seed = seed
        self._random = Random(seed)  # the same every time is the point
        self._ground = Ground(self._random)
        self._steps_left = STEPS
        self._deliveries = 0
        self._clients = Clients(self._ground)
        prepare(self._ground)

    def run(self) -> str:
        """Runs it to its end and returns a fingerprint of all that happened.

        Raises:
            ViolationError: Something that was promised does not hold.
        """
        with self._listening():
            try:
                for name in NAMES[:-1]:
                    self._ground.source.write(name, valid_flow(name, self._random))
                while self._steps_left > 0:
                    self._live(self._busy)
                while not self._live(self._rest):
                    pass
            except Halt:
                raise ViolationError(self._report()) from None
        return self._ground.trace.fingerprint

    def _report(self) -> str:
        ground = self._ground
        return (
            f"{ground.oracle.verdict}\n"
            f"seed {self._seed}, step {ground.trace.steps}, life {ground.lives}; "
            f"again: TEST_SEED={self._seed} .venv/bin/pytest tests/simulation\n"
            f"{ground.trace.story()}"
        )

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Takes an error with a traceback in the daemon's log for a broken promise."""
        logger, listener = logging.getLogger("flowrunner"), _Listener(self._ground.oracle.fail)
        before = (logger.level, logger.propagate)
        logger.addHandler(listener)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(listener)
            logger.setLevel(before[0])
            logger.propagate = before[1]

    # Lives

    def _live(self, story: Callable[[Life], Awaitable[None]]) -> bool:
        """Lives one life; returns whether it came to its own end."""
        ground, random = self._ground, self._random
        loop = SimulatedLoop(random, ground.now)
        loop.set_exception_handler(self._broken)
        ground.lives += 1
        ground.trace.step(f"life {ground.lives} begins at {ground.now:.3f}")
        if self._steps_left > 0 and random.random() < 0.2:
            self._arm_crash(loop)
        try:
            loop.run_life(self._life(loop, story))
        except Crash:
            self._crashed(loop.ended_at)
            return False
        finally:
            ground.disk.calm()
            ground.now = loop.ended_at + random.choice((0.0, 1.0, random.uniform(0, 600)))
        return True

    def _crashed(self, at: float) -> None:
        """Kills the daemon alone, or cuts the power of its host."""
        ground, is_power_cut = self._ground, self._random.random() < 0.5
        ground.trace.step(f"{'the power is cut' if is_power_cut else 'kill -9'} at {at:.3f}")
        if self._random.random() < 0.5:
            ground.disk.ghost = None
        ground.oracle.interruption()
        if is_power_cut:
            ground.files.crash()
            ground.host.lose_power(at)

    async def _life(self, loop: SimulatedLoop, story: Callable[[Life], Awaitable[None]]) -> None:
        life = Life(self._ground, loop, self._plan)
        try:
            await life.start()
        except FlowError as error:
            self._note(f"the start fails: {error.code}")
            if self._random.random() < 0.5:
                self._mend()
            raise Crash from error  # a service manager starts it again
        await story(life)

    def _broken(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        if "handle" in context:
            self._ground.oracle.fail(f"a callback failed: {context.get('exception')!r}")

    async def _busy(self, life: Life) -> None:
        """Takes steps until there are none left, or the daemon is stopped."""
        while self._steps_left > 0:
            self._steps_left -= 1
            names = [name for name, _ in _STEPS]
            weights = [weight for _, weight in _STEPS]
            (name,) = self._random.choices(names, weights)
            if name == "stop":
                return await self._stop(life)
            await getattr(self, f"_{name}")(life)
        return await self._crash_now(life)

    async def _rest(self, life: Life) -> None:
        """Lets everything come to its end on a good disk, and judges what there is then."""
        self._note("rest")
        if self._ground.disk.fault is not None:
            self._ground.oracle.interruption()
        self._mend()
        self._ground.is_synchronised = True
        await asyncio.sleep(2 * LOOKED_AT_S)
        self._ground.oracle.late.look()
        for name in NAMES:  # a flow that its file holds would keep what waits for ever
            self._ground.source.write(name, valid_flow(name, self._random, may_be_held=False))
        await asyncio.sleep(60)
        result = await life.reconciler.request("command")
        if result.result == "failed":
            self._ground.oracle.fail(f"a pass fails without a reason: {result.message}")
        self._ground.source.judge(life.registry)
        await life.silence()
        deadline = life.loop.time() + _LONGEST_REST_S
        while life.engine.running_count or life.engine.queued_count:
            for key in sorted(life.registry.pauses.keys() & life.registry.entries.keys()):
                await life.pauses.resume(key)  # failures may pause it again meanwhile
            if life.loop.time() > deadline:
                self._ground.oracle.fail("the engine does not come to rest")
            await asyncio.sleep(_LOOK_S)
        judge_rest(self._ground, life)
        await self._stop(life)

    async def _stop(self, life: Life) -> None:
        self._note("stop")
        timeout_s = self._random.choice((0.0, 1.0, 30.0, 300.0))
        self._ground.oracle.is_stopping = True
        await life.stop(timeout_s)
        judge_stop(self._ground, life)

    # Steps

    async def _pause(self, life: Life) -> None:
        await self._sleep(self._random.uniform(0.0, 90.0))

    async def _wait(self, life: Life) -> None:
        await self._sleep(self._random.uniform(60.0, 1200.0))

    async def _wait_long(self, life: Life) -> None:
        longest_s = 1200.0 if self._ground.disk.fault else 3 * 3600.0  # what fails is tried often
        await self._sleep(self._random.uniform(600.0, longest_s))

    async def _edit(self, life: Life) -> None:
        name = self._random.choice(NAMES)
        digest = self._ground.source.write(name, valid_flow(name, self._random))
        self._note(f"edit {name} {digest[-8:]}")
        self._hint(life)

    async def _break(self, life: Life) -> None:
        name = self._random.choice(NAMES)
        self._ground.source.damage(name, broken_text(name, self._random))
        self._note(f"break {name}")
        self._hint(life)

    async def _remove(self, life: Life) -> None:
        name = self._random.choice(NAMES)
        self._ground.source.remove(name)
        self._note(f"remove {name}")
        self._hint(life)

    async def _reconcile(self, life: Life) -> None:
        self._note("pass")
        self._clients.ask(life, partial(self._clients.reconcile, life))

    async def _deliver(self, life: Life) -> None:
        self._deliveries += 1
        name, number = self._random.choice(NAMES), self._deliveries
        for _ in range(self._random.choice((1, 1, 2, 5))):  # the same id again, at once
            self._note(f"deliver {number} to {name}")
            self._clients.ask(life, partial(self._clients.deliver, life, name, number))

    async def _deliver_again(self, life: Life) -> None:
        if self._clients.accepted:
            number = self._random.choice(list(self._clients.accepted))
            flow = self._ground.oracle.flow_of(self._clients.accepted[number])
            self._note(f"deliver {number} again to {flow}")
            self._clients.ask(life, partial(self._clients.deliver, life, flow, number))

    async def _start(self, life: Life) -> None:
        name = self._random.choice(NAMES)
        self._note(f"start {name}")
        self._clients.ask(life, partial(self._clients.start, life, name))

    async def _crowd(self, life: Life) -> None:
        """Lets many want the same flow, so that they must wait in line."""
        name = self._random.choice(NAMES)
        for _ in range(4):
            self._deliveries += 1
            self._note(f"deliver {self._deliveries} and start {name}")
            self._clients.ask(life, partial(self._clients.deliver, life, name, self._deliveries))
            self._clients.ask(life, partial(self._clients.start, life, name))

    async def _cancel(self, life: Life) -> None:
        unfinished = self._ground.oracle.unfinished()
        if unfinished:
            chosen = self._random.choice(unfinished)
            force = self._random.random() < 0.3
            self._note(f"cancel {chosen}{' by force' if force else ''}")
            self._clients.ask(life, partial(self._clients.cancel, life, chosen, force=force))

    async def _retry(self, life: Life) -> None:
        ended = self._ground.oracle.ended_ones()
        if ended:
            chosen = self._random.choice(ended)
            nodes = [None, *self._ground.oracle.nodes.names_of(chosen)]
            node = self._random.choice(nodes) if self._random.random() < 0.7 else None
            self._note(f"retry {chosen}{f' from {node}' if node else ''}")
            self._clients.ask(life, partial(self._clients.retry, life, chosen, node))

    async def _suspend(self, life: Life) -> None:
        name = self._random.choice(NAMES)
        self._note(f"pause {name}")
        minutes = self._random.choice((None, self._random.randint(1, 60)))
        self._clients.ask(life, partial(self._clients.pause, life, name, minutes))

    async def _resume(self, life: Life) -> None:
        for key in sorted(life.registry.pauses):
            self._note(f"resume {key.name}")
            self._clients.ask(life, partial(life.pauses.resume, key))

    async def _jump(self, life: Life) -> None:
        seconds = self._random.choice((-1, 1)) * self._random.uniform(1.0, 7200.0)
        self._note(f"the clock jumps by {seconds:.3f}")
        self._ground.clock.jump(seconds)
        self._ground.oracle.nodes.jumps()
        self._ground.oracle.late.jumps()

    async def _fill(self, life: Life) -> None:
        self._note("the disk is full")
        self._ground.disk.full = True
        self._ground.files.free = self._random.choice((0, 0, ROOM))
        self._ground.oracle.interruption()
        await self._sleep(self._random.uniform(0.0, 120.0))
        self._ground.oracle.interruption()

    async def _fail(self, life: Life) -> None:
        self._note("the disk fails")
        self._ground.disk.fails = True
        self._ground.oracle.interruption()
        await self._sleep(self._random.uniform(0.0, 120.0))
        self._ground.oracle.interruption()

    async def _empty(self, life: Life) -> None:
        self._note("the disk is well")
        self._ground.oracle.interruption()
        self._mend()

    async def _crash(self, life: Life) -> None:
        self._note("a crash is near")
        self._arm_crash(life.loop)

    async def _crash_now(self, life: Life) -> None:
        self._note("crash")
        raise Crash

    # What steps are made of

    def _arm_crash(self, loop: SimulatedLoop) -> None:
        if self._random.random() < 0.5:
            self._ground.disk.crash_at_write(self._random.randint(1, 30))
        else:
            loop.crash_after(self._random.randint(0, 200))

    def _note(self, text: str) -> None:
        self._ground.trace.step(f"{self._ground.clock.now():%d %H:%M:%S.%f} {text}")

    async def _sleep(self, seconds: float) -> None:
        self._note(f"{seconds:.3f} s pass")
        await asyncio.sleep(seconds)

    def _hint(self, life: Life) -> None:
        if self._random.random() < 0.7:
            life.watcher.poke()

    def _mend(self) -> None:
        self._ground.disk.full = self._ground.disk.fails = False
        self._ground.files.free = ROOM

    def _plan(self, request: SpawnRequest, now: float) -> Group:
        """Decides what a process comes to."""
        random, env = self._random, request.env
        is_probe = env["KIND"] == "probe"
        lasts_s = random.choice(
            (0.0, random.uniform(0, 2), random.uniform(0, 60), random.uniform(0, 60), math.inf)
        )
        if is_probe and random.random() < 0.9:
            lasts_s = random.uniform(0, 2)
        child_s = random.choice((0.0, lasts_s, lasts_s, lasts_s + 30.0))
        group = Group(
            env=env,
            life=self._ground.lives,
            leader_until=now + lasts_s,
            child_until=now + child_s,
            status=ExitStatus(exit_code=random.choice((0, 1, 1) if is_probe else (0, 0, 0, 1))),
            on_term_s=random.choice((0.0, random.uniform(0, 8), None)),
        )
        self._ground.oracle.spawns(key_of_process(env), group)
        return group


class _Listener(logging.Handler):
    """Hears of errors that nobody foresaw."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._fail = fail

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0] is not None:
            self._fail(f"unforeseen: {record.getMessage()}: {record.exc_info[1]!r}")


_STEPS = (
    ("pause", 30),
    ("wait", 6),
    ("wait_long", 1),
    ("edit", 7),
    ("break", 2),
    ("remove", 1),
    ("reconcile", 3),
    ("deliver", 10),
    ("deliver_again", 4),
    ("start", 9),
    ("crowd", 2),
    ("cancel", 5),
    ("retry", 3),
    ("suspend", 1),
    ("resume", 4),
    ("jump", 2),
    ("fill", 2),
    ("fail", 1),
    ("empty", 6),
    ("crash", 3),
    ("crash_now", 1),
    ("stop", 2),
)
"""What may be done, by how often."""
