"""Programs for real: processes of this host, files on disk, the engine's own way of ending them.

No time is asserted; a test that would wait too long is ended by its time limit.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from flowrunner.model.states import AttemptState
from flowrunner.system.descent import DescentFamilies
from flowrunner.system.files import LocalFiles
from flowrunner.system.process import LocalSpawner
from flowrunner.telemetry.attempt_log import read_log
from flowrunner.telemetry.log_writer import LogWriter
from tests.fakes.engine import Outcome, RealHost, World, flow

T = TypeVar("T")

SECRET = "correct horse battery"


def run_real(
    story: Callable[[World], Awaitable[T]], tmp_path: Path, secrets: dict[str, str] | None = None
) -> T:
    """Runs a story over processes, files and logs of this host, and looks what it left."""

    async def main() -> T:
        spawner, writer = LocalSpawner(DescentFamilies()), LogWriter()
        host = RealHost(spawner=spawner, files=LocalFiles(), log_writer=writer, folder=tmp_path)
        world = World(secrets=secrets, host=host)
        try:
            result = await story(world)
            await world.idle()
            world.assert_clean()
            return result
        finally:
            spawner.close()
            writer.close()

    return asyncio.run(main())


def run_script(script: str, tmp_path: Path, *, keys: str = "", top: str = "") -> Outcome:
    """Runs one shell node to its end."""

    async def story(world: World) -> Outcome:
        return await world.run(script_flow(script, keys=keys, top=top))

    return run_real(story, tmp_path, {"KEY": SECRET})


def script_flow(script: str, *, keys: str = "", top: str = "") -> str:
    """A flow of one shell node `a`."""
    lines = "".join(f"      {line}\n" for line in script.strip().splitlines())
    return flow(f"  - id: a\n    run: |\n{lines}{keys}", top=top)


def has_ended(pid: int) -> bool:
    """Whether no process has this number, or only a corpse that init has not taken yet."""
    return state_of(pid) in ("", "Z")


def state_of(pid: int) -> str:
    """The letter of a process' state (proc(5)); empty if there is none."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return facts.rpartition(")")[2].split()[0]


def written(path: Path) -> str:
    """What a program has written to a file; nothing before the line is whole."""
    text = path.read_text() if path.exists() else ""
    return text if text.endswith("\n") else ""


async def wait_for(path: Path) -> str:
    """Lets programs run until one has written its line to a file."""
    while not (text := written(path)):  # noqa: ASYNC110 - another process sets no event
        await asyncio.sleep(0.01)
    return text


def test_script_gives_its_outputs(tmp_path: Path) -> None:
    """Lines and blocks in `$FLOW_OUTPUT` of a shell script become typed outputs."""
    script = r"""
echo "rows=42" >> "$FLOW_OUTPUT"
printf 'text<<EOF\none\ntwo\nEOF\n' >> "$FLOW_OUTPUT"
"""
    outcome = run_script(script, tmp_path, keys="    outputs: {rows: {type: integer}}")
    assert outcome.nodes["a"].outputs == {"rows": 42, "text": "one\ntwo"}
    assert outcome.attempts[0].exit_code == 0


def test_script_finds_its_folders(tmp_path: Path) -> None:
    """It stands in its work folder, and its own `$TMPDIR` is there, empty and private."""
    script = r"""
test "$(pwd)" = "$WORK_DIR"
test -z "$(ls -A "$TMPDIR")"
test "$(stat -c %a "$TMPDIR")" = 700
test "$(mktemp)" != ""
echo seen > "$WORK_DIR/seen"
"""
    nodes = "  - {id: b, run: 'grep -qx seen seen'}"

    async def story(world: World) -> Outcome:
        return await world.run(script_flow(script, keys=f"\n{nodes}"))

    assert run_real(story, tmp_path).states == {"a": "succeeded", "b": "succeeded"}


def test_everything_is_removed_at_the_end(tmp_path: Path) -> None:
    """Folders that a script left are removed, and links out of them are not followed."""
    (tmp_path / "kept").write_text("kept\n")
    script = f"""
mkdir -p deep/er
ln -s {tmp_path} out
"""
    run_script(script, tmp_path)
    assert list((tmp_path / "work").iterdir()) == []
    assert (tmp_path / "kept").read_text() == "kept\n"


@pytest.mark.parametrize(
    ("script", "exit_code", "reason"),
    [
        pytest.param("exit 7", 7, "exit_code", id="exit-code"),
        pytest.param("false\necho unreached", 1, "exit_code", id="first-failure-ends-the-script"),
        pytest.param("kill -KILL $$", None, "signal:SIGKILL", id="killed"),
        pytest.param("no-such-command", 127, "exit_code", id="command-not-found-in-script"),
    ],
)
def test_script_fails_as_it_ended(
    script: str, exit_code: int | None, reason: str, tmp_path: Path
) -> None:
    """The attempt has the exit code or the signal of its process."""
    (attempt,) = run_script(script, tmp_path).attempts
    assert (attempt.state, attempt.exit_code, attempt.reason) == ("failed", exit_code, reason)


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        pytest.param("[no-such-command]", "command_not_found", id="missing"),
        pytest.param("[/etc/passwd]", "not_executable", id="not-executable"),
    ],
)
def test_program_that_cannot_run_is_not_tried_again(argv: str, reason: str, tmp_path: Path) -> None:
    """A missing or unusable program is a final failure."""
    node = f"  - {{id: a, type: exec, params: {{argv: {argv}}}, retry: {{max_attempts: 3}}}}"

    async def story(world: World) -> Outcome:
        return await world.run(flow(node))

    (attempt,) = run_real(story, tmp_path).attempts
    assert attempt.reason == reason


def test_exec_finds_its_program_on_the_flows_path(tmp_path: Path) -> None:
    """`PATH` of the flow decides, not that of the daemon."""
    program = tmp_path / "bin" / "greet"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "said=$1" >> "$FLOW_OUTPUT"\n')
    program.chmod(0o755)
    text = flow(
        "  - {id: a, type: exec, params: {argv: [greet, 'a  b']}}",
        top=f"env: {{PATH: '{program.parent}:/usr/bin:/bin'}}",
    )

    async def story(world: World) -> Outcome:
        return await world.run(text)

    assert run_real(story, tmp_path).nodes["a"].outputs == {"said": "a  b"}


@pytest.mark.heavy
def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """After `kill_after` nothing of the group is left, however deaf it is."""
    script = f"""
sh -c 'trap "" TERM; echo $$ > {tmp_path}/child; while :; do sleep 1; done' &
trap "" TERM
while :; do sleep 1; done
"""
    outcome = run_script(script, tmp_path, keys="    timeout: 1s\n    kill_after: 500ms")
    (attempt,) = outcome.attempts
    assert (attempt.state, attempt.reason) == (AttemptState.TIMED_OUT, "timeout")
    assert has_ended(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("output", ["", " >/dev/null 2>&1"], ids=["inherited", "redirected"])
def test_child_of_a_shell_has_time_to_clean_up(output: str, tmp_path: Path) -> None:
    """A shell dies of SIGTERM at once; the program it had started still gets its grace."""
    program = tmp_path / "program.sh"
    cleaning = (
        f"echo begun > {tmp_path}/begun; read line < {tmp_path}/go; echo $line > {tmp_path}/cleaned"
    )
    program.write_text(
        f"trap '{cleaning}; exit 0' TERM\n"
        f"echo $PPID > {tmp_path}/shell\n"
        "while :; do sleep 0.05; done\n"
    )
    os.mkfifo(tmp_path / "go")

    async def story(world: World) -> Outcome:
        text = script_flow(f"sh {program}{output}\necho unreached", keys="    kill_after: 1h")
        accepted = await world.submit(world.define(text))
        shell = int(await wait_for(tmp_path / "shell"))
        await world.engine.cancel(accepted.id)
        await wait_for(tmp_path / "begun")
        while not has_ended(shell):  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0)
        await asyncio.to_thread((tmp_path / "go").write_text, "done\n")
        return await world.end_of(accepted.id)

    assert run_real(story, tmp_path).states == {"a": "cancelled"}
    assert (tmp_path / "cleaned").read_text() == "done\n"


def test_stopped_program_hears_that_its_time_is_over(tmp_path: Path) -> None:
    """SIGTERM reaches a program that SIGSTOP holds: it is woken, and cleans up in its grace."""
    script = f"""
trap 'echo done > {tmp_path}/cleaned; exit 0' TERM
echo $$ > {tmp_path}/pid
kill -STOP $$
echo unreached > {tmp_path}/cleaned
"""

    async def story(world: World) -> Outcome:
        text = script_flow(script, keys="    kill_after: 30s")
        accepted = await world.submit(world.define(text))
        pid = int(await wait_for(tmp_path / "pid"))
        while state_of(pid) != "T":  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0)
        await world.engine.cancel(accepted.id)
        return await world.end_of(accepted.id)

    assert run_real(story, tmp_path).states == {"a": "cancelled"}
    assert (tmp_path / "cleaned").read_text() == "done\n"


@pytest.mark.heavy
def test_grandchild_that_holds_the_output_is_not_waited_for(tmp_path: Path) -> None:
    """A program in the background delays the end for a moment at most, and is ended then."""
    script = f"""
sleep 3600 &
echo $! > {tmp_path}/pid
echo "rows=1" >> "$FLOW_OUTPUT"
"""
    outcome = run_script(script, tmp_path)
    assert outcome.states == {"a": "succeeded"}
    assert outcome.nodes["a"].outputs == {"rows": "1"}
    assert has_ended(int((tmp_path / "pid").read_text()))


def test_cancel_ends_the_whole_group(tmp_path: Path) -> None:
    """Every process of a pipeline is gone when the execution has ended."""
    script = f"""
sleep 3600 | sleep 3600 &
echo $! > {tmp_path}/pid
wait
"""

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(script_flow(script)))
        pid = int(await wait_for(tmp_path / "pid"))
        await world.engine.cancel(accepted.id)
        outcome = await world.end_of(accepted.id)
        assert has_ended(pid)
        return outcome

    assert run_real(story, tmp_path).states == {"a": "cancelled"}


def test_drain_ends_the_whole_group(tmp_path: Path) -> None:
    """A stop of the daemon leaves no process behind."""
    script = f"echo $$ > {tmp_path}/pid\nexec sleep 3600"

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(script_flow(script)))
        pid = int(await wait_for(tmp_path / "pid"))
        await world.engine.drain(0)
        assert has_ended(pid)
        return await world.outcome(accepted.id)

    assert run_real(story, tmp_path).reasons == {"a": "interrupted"}


def test_signal_from_outside_is_told(tmp_path: Path) -> None:
    """Somebody else's SIGKILL is a failure with that reason and no exit code."""
    script = f"echo $$ > {tmp_path}/pid\nexec sleep 3600"

    async def story(world: World) -> Outcome:
        accepted = await world.submit(world.define(script_flow(script)))
        os.kill(int(await wait_for(tmp_path / "pid")), signal.SIGKILL)
        return await world.end_of(accepted.id)

    (attempt,) = run_real(story, tmp_path).attempts
    assert (attempt.exit_code, attempt.reason) == (None, "signal:SIGKILL")


def test_secret_is_masked_across_the_borders_of_chunks(tmp_path: Path) -> None:
    """A secret that reaches the log in pieces is hidden as a whole, on both streams."""
    script = r"""
for word in correct " horse" " battery"; do
  printf '%s' "$word"; sleep 0.05; printf '%s' "$word" >&2; sleep 0.05
done
echo; echo >&2
printf 'it is %s\n' "$K"
"""
    keys = "    env: {K: '${{ secrets.KEY }}'}"

    async def story(world: World) -> None:
        await world.run(script_flow(script, keys=keys, top="secrets: [KEY]"))

    run_real(story, tmp_path, {"KEY": SECRET})
    (log,) = (tmp_path / "logs").rglob("*.log")
    lines, _ = read_log(log)
    texts = sorted((line.stream, line.text) for line in lines)
    assert texts == [("stderr", "***"), ("stdout", "***"), ("stdout", "it is ***")]
    assert b"horse" not in log.read_bytes()


def test_environment_is_exactly_what_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real process sees no variable of ours but those of the flow format."""
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "1")
    node = f"  - {{id: a, type: exec, params: {{argv: [cp, /proc/self/environ, {tmp_path}/env]}}}}"

    async def story(world: World) -> Outcome:
        return await world.run(flow(node))

    run_real(story, tmp_path)
    found = (tmp_path / "env").read_text().rstrip("\0").split("\0")
    names = sorted(pair.partition("=")[0] for pair in found)
    fixed = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER"]
    ours = ["ATTEMPT", "EXECUTION_ID", "FLOW_DIR", "FLOW_NAME", "FLOW_OUTPUT", "HOST_NAME"]
    rest = ["NODE_ID", "SLOT_AT", "TMPDIR", "WORK_DIR"]
    assert names == sorted([*fixed, *ours, *rest])
