"""Programs of nodes with a `user`: who they see themselves as, and what is handed over to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowrunner.nodes.builtins import register_builtins
from flowrunner.nodes.programs import ProgramRunner
from flowrunner.nodes.registry import NodeRegistry
from tests.fakes.engine import HOST, OK, WORK, Outcome, World, flow, simulate
from tests.fakes.users import FakeUsers


def among(world: World, users: FakeUsers) -> World:
    """Gives a world users; its nodes are registered anew."""
    nodes = NodeRegistry()
    runner = ProgramRunner(spawner=world.spawner, files=world.files, host=HOST, users=users)
    register_builtins(nodes, runner)
    world.nodes._nodes = {name: nodes.require(name) for name in nodes.types}
    return world


def test_program_sees_itself_as_its_user() -> None:
    """`HOME USER LOGNAME` are those of the user, unless the flow says otherwise."""

    async def story(world: World) -> None:
        users = FakeUsers()
        text = flow("""
  - {id: a, run: x, user: deploy}
  - {id: b, run: x}
  - {id: c, run: x, user: deploy, env: {HOME: /srv}}
""")
        await among(world, users).run(text)
        seen = [
            tuple(world.spawned(node)[0].env[name] for name in ("USER", "LOGNAME", "HOME"))
            for node in "abc"
        ]
        assert seen == [
            ("deploy", "deploy", "/home/deploy"),
            ("runner", "runner", "/home/runner"),
            ("deploy", "deploy", "/srv"),
        ]
        names = [each.identity and each.identity.name for each in world.spawner.requests]
        assert names == ["deploy", None, "deploy"]

    simulate(story, {"a": OK})


def test_what_is_its_own_is_handed_over() -> None:
    """The folders, the script, the outputs and the payload; nothing of another attempt."""

    async def story(world: World) -> None:
        users = FakeUsers()
        text = flow("  - {id: z, run: x}\n  - {id: a, run: x, user: deploy}")
        outcome = await among(world, users).run(text, payload=b"{}")
        private = WORK / outcome.execution.id
        names = ("files", "a.1", "a.1.output", "a.1.script", "a.1.payload")
        own = tuple(private / name for name in names)
        assert users.handed == [("deploy", (WORK.parent, WORK, private), own)]

    simulate(story)


@pytest.mark.parametrize("has_others", [True, False])
def test_outputs_are_private_where_others_may_pass(*, has_others: bool) -> None:
    """A program without `user` finds its outputs made, lest its umask make them readable."""
    made: list[Path] = []

    async def story(world: World) -> Outcome:
        replace = world.files.replace

        def noted(path: Path, data: bytes, *, mode: int = 0o600) -> None:
            made.append(path)
            replace(path, data, mode=mode)

        world.files.replace = noted  # type: ignore[method-assign]
        return await among(world, FakeUsers(has_others=has_others)).run(flow("  - {id: a, run: x}"))

    outcome = simulate(story)
    assert outcome.states == {"a": "succeeded"}
    assert ("a.1.output" in [path.name for path in made]) is has_others


def test_refused_user_fails_the_attempt_for_good() -> None:
    """A pinned execution may come to a host that has changed: nothing runs as somebody else."""

    async def story(world: World) -> Outcome:
        users = FakeUsers()
        users.problems["deploy"] = "no"
        text = flow("  - {id: a, run: x, user: deploy, retry: {max_attempts: 3}}")
        outcome = await among(world, users).run(text)
        assert world.spawner.requests == []
        return outcome

    outcome = simulate(story)
    assert (outcome.reasons, len(outcome.attempts)) == ({"a": "user_not_permitted"}, 1)
