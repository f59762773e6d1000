"""What a program finds: its command, its environment, its folders; what is read of it after."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flowrunner.model.ids import Json
from flowrunner.system.process import SpawnRequest
from tests.fakes.engine import OK, WORK, Act, Outcome, World, flow, simulate
from tests.fakes.ids import sequential_id

ID = sequential_id(1)
FOLDER = f"/state/work/{ID}"
FIXED = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/home/runner",
    "USER": "runner",
    "LOGNAME": "runner",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "FLOW_NAME": "flow",
    "EXECUTION_ID": ID,
    "NODE_ID": "a",
    "ATTEMPT": "1",
    "SLOT_AT": "",
    "HOST_NAME": "host-1",
    "WORK_DIR": f"{FOLDER}/files",
    "FLOW_DIR": "/flows/default",
    "TMPDIR": f"{FOLDER}/a.1",
    "FLOW_OUTPUT": f"{FOLDER}/a.1.output",
}


def request_of(
    node: str = "{id: a, run: x}", act: Act = OK, *, top: str = "", **options: Any
) -> SpawnRequest:
    """The command of a flow's only node."""

    async def story(world: World) -> SpawnRequest:
        await world.run(flow(f"  - {node}", top=top), **options)
        return world.spawner.requests[-1]

    return simulate(story, {"a": act}, secrets={"KEY": "hunter22"})


def outcome_of(node: str, act: Act = OK, *, top: str = "", **options: Any) -> Outcome:
    """What became of a flow with this only node."""

    async def story(world: World) -> Outcome:
        return await world.run(flow(f"  - {node}", top=top), **options)

    return simulate(story, {"a": act}, secrets={"KEY": "hunter22"})


# Environment


def test_environment_is_the_fixed_one_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program sees exactly what the flow format lists; nothing of the daemon's own."""
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "1")
    assert dict(request_of().env) == FIXED


def test_environment_of_a_slot_tells_its_time() -> None:
    """`$SLOT_AT` is the slot, RFC 3339 in UTC."""
    env = request_of(slot_at=datetime(2027, 3, 1, 3, tzinfo=UTC)).env
    assert env["SLOT_AT"] == "2027-03-01T03:00:00+00:00"


def test_environment_of_the_flow_lies_under_that_of_the_node() -> None:
    """The node's value wins; scalars keep the text they were written with."""
    env = request_of(
        "{id: a, run: x, env: {BOTH: node, FLAG: yes}}", top="env: {BOTH: flow, V: 1.10}"
    ).env
    assert dict(env) == {**FIXED, "BOTH": "node", "FLAG": "yes", "V": "1.10"}


def test_null_removes_a_variable() -> None:
    """A node can take away what the flow or FlowRunner would have set."""
    env = request_of("{id: a, run: x, env: {V: null, LANG: null}}", top="env: {V: 1, W: null}").env
    assert dict(env) == {name: value for name, value in FIXED.items() if name != "LANG"}


def test_fixed_part_may_be_overridden() -> None:
    """A flow may choose its own PATH and HOME."""
    env = request_of(top="env: {PATH: /opt/bin, HOME: /tmp}").env
    assert dict(env) == {**FIXED, "PATH": "/opt/bin", "HOME": "/tmp"}


def test_secret_is_revealed_to_the_program_alone() -> None:
    """The text of a secret stands in the environment, not in the journal or the log."""
    node = "{id: a, run: x, env: {K: '${{ secrets.KEY }}'}}"

    async def story(world: World) -> tuple[str, str, bytes]:
        outcome = await world.run(flow(f"  - {node}", top="secrets: [KEY]"))
        log = b"".join(world.log_writer.files.values())
        return world.spawner.requests[0].env["K"], repr(outcome), log

    value, journal, log = simulate(
        story, {"a": Act(prints=b"it is hunter22\n")}, secrets={"KEY": "hunter22"}
    )
    assert value == "hunter22"
    assert "hunter22" not in journal
    assert b"it is ***" in log


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("a\0b", "env V holds a NUL", id="nul"),
        pytest.param(
            "a\ud800b",
            "env V holds half of a surrogate pair, which is no character",
            id="half-character",
        ),
        pytest.param("x" * (128 * 1024 - 2), "env V is larger than 128 KiB", id="too-large"),
        pytest.param("ä" * (64 * 1024), "env V is larger than 128 KiB", id="too-large-in-bytes"),
    ],
)
def test_value_that_no_environment_can_hold_is_refused(value: str, message: str) -> None:
    """What Linux would refuse is a final failure that names the variable; nothing is written."""
    node = "{id: a, run: x, retry: {max_attempts: 3}, env: {V: '${{ inputs.v }}'}}"

    async def story(world: World) -> Outcome:
        outcome = await world.run(
            flow(f"  - {node}", top="inputs: {v: {default: ''}}"), inputs={"v": value}
        )
        assert world.spawner.requests == []
        assert ("make_folder", WORK) not in world.files.calls
        return outcome

    (attempt,) = simulate(story).attempts
    assert attempt.error is not None
    assert (attempt.error.code, attempt.error.message) == ("environment", message)


def test_largest_value_fits() -> None:
    """The limit is that of the system, to the byte: name, equals sign and closing NUL count."""
    node = "{id: a, run: x, env: {V: '${{ inputs.v }}'}}"
    value = "x" * (128 * 1024 - 3)
    request = request_of(node, top="inputs: {v: {default: ''}}", inputs={"v": value})
    assert request.env["V"] == value


# Command and folders


def test_script_runs_from_a_file() -> None:
    """A shell script is a file of its attempt, run by `/bin/sh -e` in the work folder."""

    async def story(world: World) -> tuple[SpawnRequest, bytes]:
        accepted = await world.submit(world.define(flow("  - {id: a, run: 'echo hello'}")))
        await asyncio.sleep(1)
        script = world.files.read(Path(f"{FOLDER}/a.1.script"), limit=100)
        await world.end_of(accepted.id)
        return world.spawner.requests[0], script

    request, script = simulate(story, {"a": Act(lasts_s=5)})
    assert request.argv == ("/bin/sh", "-e", f"{FOLDER}/a.1.script")
    assert request.cwd == Path(f"{FOLDER}/files")
    assert script == b"echo hello"


def test_work_folder_is_shared_and_tmpdir_is_not() -> None:
    """One `$WORK_DIR` for the execution; `$TMPDIR` and `$FLOW_OUTPUT` for each attempt."""

    async def story(world: World) -> list[SpawnRequest]:
        text = "  - {id: a, run: x, retry: {max_attempts: 2}}\n  - {id: b, run: x}"
        await world.run(flow(text))
        return world.spawner.requests

    requests = simulate(story, {"a": [Act(exit_code=1), OK]})
    assert len({request.env["WORK_DIR"] for request in requests}) == 1
    assert len({request.env["TMPDIR"] for request in requests}) == 3
    assert len({request.env["FLOW_OUTPUT"] for request in requests}) == 3


def test_payload_of_a_delivery_is_a_file() -> None:
    """`$FLOW_PAYLOAD_FILE` holds the raw body, byte for byte, for webhook executions only."""
    body = b'{"ref":  "main"}\n'

    async def story(world: World) -> tuple[bytes, bytes]:
        spec = world.define(flow("  - {id: a, run: x}", top="concurrency: {limit: 2}"))
        for payload in (body, b""):
            await world.submit(spec, trigger="webhook:push", payload=payload)
        await asyncio.sleep(1)
        paths = [Path(request.env["FLOW_PAYLOAD_FILE"]) for request in world.spawner.requests]
        found = [world.files.read(path, limit=100) for path in paths]
        await world.idle()
        return found[0], found[1]

    assert simulate(story, {"a": Act(lasts_s=5)}) == (body, b"")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param("[rsync, -a, src]", ("rsync", "-a", "src"), id="literal"),
        pytest.param("[echo, '${{ inputs.v }}']", ("echo", "a b; c"), id="expression-is-one-word"),
        pytest.param("[echo, 'x=${{ inputs.v }}']", ("echo", "x=a b; c"), id="mixed"),
        pytest.param("[sleep, 1, 2.5]", ("sleep", "1", "2.5"), id="numbers"),
        pytest.param("[echo, '']", ("echo", ""), id="empty"),
    ],
)
def test_exec_passes_arguments_as_they_are(arguments: str, expected: tuple[str, ...]) -> None:
    """Each entry of `argv` is one argument, whatever stands in it."""
    request = request_of(
        f"{{id: a, type: exec, params: {{argv: {arguments}}}}}",
        top="inputs: {v: {default: ''}}",
        inputs={"v": "a b; c"},
    )
    assert request.argv == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, "argument 1 is null, not text or a number", id="null"),
        pytest.param(True, "argument 1 is a boolean, not text or a number", id="boolean"),
        pytest.param([1], "argument 1 is a list, not text or a number", id="list"),
        pytest.param({}, "argument 1 is a map, not text or a number", id="map"),
        pytest.param("a\0b", "argument 1 contains a NUL", id="nul"),
    ],
)
def test_exec_refuses_what_is_no_argument(value: Json, message: str) -> None:
    """A value without one obvious text is a final failure that names its position."""
    outcome = outcome_of(
        "{id: a, type: exec, params: {argv: [echo, '${{ inputs.v }}']}}",
        top="inputs: {v: {default: ''}}",
        inputs={"v": value},
    )
    (attempt,) = outcome.attempts
    assert attempt.error is not None
    assert (attempt.error.code, attempt.error.message) == ("bad_argument", message)


# Afterwards


def test_outputs_are_read_after_a_success() -> None:
    """What was written to `$FLOW_OUTPUT` becomes the node's outputs, typed as declared."""
    act = Act(outputs=b"rows=42\nname=orders\n")
    outcome = outcome_of("{id: a, run: x, outputs: {rows: {type: integer}}}", act)
    assert outcome.nodes["a"].outputs == {"rows": 42, "name": "orders"}


def test_program_without_outputs_has_none() -> None:
    """A program that never touches `$FLOW_OUTPUT` succeeds with no outputs."""
    assert outcome_of("{id: a, run: x}").nodes["a"].outputs == {}


def test_outputs_of_a_failure_are_not_read() -> None:
    """A program that failed has no outputs, and its exit code says why, not its output."""
    outcome = outcome_of("{id: a, run: x}", Act(exit_code=3, outputs=b"bad line"))
    assert outcome.reasons == {"a": "exit_code"}
    assert outcome.nodes["a"].outputs is None


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        pytest.param(256 * 1024, "", id="at-the-limit"),
        pytest.param(256 * 1024 + 1, "output", id="above"),
    ],
)
def test_outputs_are_limited(size: int, reason: str) -> None:
    """`$FLOW_OUTPUT` may hold 256 KiB."""
    outcome = outcome_of("{id: a, run: x}", Act(outputs=b"v=" + b"x" * (size - 2)))
    assert outcome.reasons == {"a": reason}


def test_unreadable_output_fails_the_attempt() -> None:
    """Outputs that are there and cannot be read are not taken for none."""

    async def story(world: World) -> Outcome:
        world.files.write(Path(f"{FOLDER}/a.1.output"), b"rows=42\n")
        world.files.fail("read", ".output", PermissionError(13, "Permission denied"))
        return await world.run(flow("  - {id: a, run: x}"))

    outcome = simulate(story)
    error = outcome.nodes["a"].error
    assert error is not None
    assert error.message == "$FLOW_OUTPUT cannot be read: Permission denied"


def test_output_that_is_no_file_fails_the_attempt() -> None:
    """A program may make anything of `$FLOW_OUTPUT`; only a file is read."""

    async def story(world: World) -> Outcome:
        world.files.pipe(Path(f"{FOLDER}/a.1.output"))
        return await world.run(flow("  - {id: a, run: x}"))

    assert simulate(story).reasons == {"a": "output"}


def test_output_is_logged_by_stream() -> None:
    """What a program prints is in the log of its attempt."""

    async def story(world: World) -> list[str]:
        outcome = await world.run(flow("  - {id: a, run: x}"))
        return world.log(outcome.execution.id, "a")

    assert simulate(story, {"a": Act(prints=b"one\ntwo\n")}) == ["one", "two"]


# How the process is started


@pytest.mark.parametrize(
    ("keys", "argv"),
    [
        pytest.param("", ("/bin/sh", "-e"), id="by-default"),
        pytest.param(", shell: sh", ("/bin/sh", "-e"), id="sh"),
        pytest.param(
            ", shell: bash", ("bash", "--noprofile", "--norc", "-eo", "pipefail"), id="bash"
        ),
        pytest.param(', shell: [python3, -I, "{0}"]', ("python3", "-I"), id="list"),
    ],
)
def test_shell_runs_the_script(keys: str, argv: tuple[str, ...]) -> None:
    """The file of the script stands in the place of `{0}`."""
    assert request_of(f"{{id: a, run: x{keys}}}").argv == (*argv, f"{FOLDER}/a.1.script")


def test_words_behind_the_script_are_its_arguments() -> None:
    """`{0}` need not be the last word."""
    request = request_of('{id: a, run: x, shell: [perl, "{0}", --fast]}')
    assert request.argv == ("perl", f"{FOLDER}/a.1.script", "--fast")


def test_an_argument_that_looks_like_the_script_is_left_alone() -> None:
    """`{0}` means something in `shell`, not in `argv`."""
    request = request_of('{id: a, type: exec, params: {argv: [awk, "{0}"]}}')
    assert request.argv == ("awk", "{0}")


@pytest.mark.parametrize(
    ("keys", "folder"),
    [
        pytest.param("", f"{FOLDER}/files", id="by-default"),
        pytest.param(", working_dir: /srv/app", "/srv/app", id="absolute"),
        pytest.param(", working_dir: build/out", f"{FOLDER}/files/build/out", id="relative"),
    ],
)
def test_working_dir_is_relative_to_the_work_folder(keys: str, folder: str) -> None:
    """`$WORK_DIR` stays what it is."""
    request = request_of(f"{{id: a, run: x{keys}}}")
    assert (str(request.cwd), request.env["WORK_DIR"]) == (folder, f"{FOLDER}/files")


def test_defaults_reach_the_process_of_a_node() -> None:
    """`shell` scripts alone, `working_dir` every program; the node's own word wins."""
    top = "defaults: {shell: bash, working_dir: /srv}"
    script, program = "{id: a, run: x}", "{id: a, type: exec, params: {argv: [make]}}"
    assert request_of(script, top=top).argv[0] == "bash"
    assert request_of(program, top=top).argv == ("make",)
    assert str(request_of(program, top=top).cwd) == "/srv"
    own = request_of("{id: a, run: x, shell: sh, working_dir: /own}", top=top)
    assert (own.argv[0], str(own.cwd)) == ("/bin/sh", "/own")


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        pytest.param("plain text", b"plain text", id="literal"),
        pytest.param("${{ vars.n }}", b"5", id="number"),
        pytest.param("n=${{ vars.n }}", b"n=5", id="in-a-text"),
        pytest.param("${{ secrets.KEY }}", b"hunter22", id="secret"),
    ],
)
def test_stdin_is_the_text_of_its_value(stdin: str, expected: bytes) -> None:
    """Expressions are resolved, and a secret is readable to the program alone."""
    top = "secrets: [KEY]\nvars: {n: 5}"
    assert request_of(f'{{id: a, run: x, stdin: "{stdin}"}}', top=top).stdin == expected


def test_what_stdin_makes_of_a_secret_is_masked() -> None:
    """The log hides it as it hides what `env` holds."""
    node = '  - {id: a, run: x, stdin: "${{ upper(secrets.KEY) }}"}'

    async def story(world: World) -> list[str]:
        outcome = await world.run(flow(node, top="secrets: [KEY]"))
        return world.log(outcome.execution.id, "a")

    act = Act(prints=b"got HUNTER22\n")
    assert simulate(story, {"a": act}, secrets={"KEY": "hunter22"}) == ["got ***"]
