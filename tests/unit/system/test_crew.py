"""Promises of `flowrunner.system.local_crew` and its members, with real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from flowrunner.system.crew import Answers, members_here
from flowrunner.system.local_crew import LocalCrew

GREETING = b"version 1"
PATIENCE_S = 30.0
"""Longer than any machine needs to start or to end a process."""
MEMBER = """
import os, signal, sys, time
from flowrunner.system.crew_member import serve
def answer(work):
    {body}
serve({greeting!r}, answer)
"""


def argv(body: str, greeting: bytes = GREETING) -> tuple[str, ...]:
    """A process that does so with a piece of work."""
    return (sys.executable, "-c", MEMBER.format(body=body, greeting=greeting))


def crew(body: str, members: int = 2, patience_s: float = PATIENCE_S) -> LocalCrew:
    return LocalCrew(argv(body), GREETING, members, patience_s=patience_s)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_answers_come_in_the_order_of_the_work() -> None:
    """Whoever of the processes is first, and however long the others take."""
    slow_first = "time.sleep(0.05 if work.endswith(b'0') else 0); return work * 2"
    works = [b"%d" % number for number in range(40)]
    assert list(crew(slow_first).carry(works)) == [work * 2 for work in works]


def test_pieces_larger_than_a_pipe_do_not_block() -> None:
    """Both sides write more than a pipe holds, at the same time."""
    works = [bytes([number]) * 3_000_000 for number in range(8)]
    assert list(crew("return work").carry(works)) == works


def test_several_processes_work_and_all_end_with_the_work() -> None:
    """As many as were asked for, none of which is there afterwards."""
    body = "time.sleep(0.02); return str(os.getpid()).encode()"
    pids = {int(answer or 0) for answer in crew(body, members=3).carry([b"x"] * 60)}
    assert len(pids) == 3
    assert not any(map(is_there, pids))


def test_without_work_nothing_is_started() -> None:
    """A reading in which nothing is new costs no process."""
    nobody = LocalCrew(("/nonexistent",), GREETING, 2)
    assert list(nobody.carry([])) == []


def test_who_stops_asking_leaves_no_process() -> None:
    """A pass that fails in the middle ends what was started for it."""
    answers = crew("return str(os.getpid()).encode()").carry([b"x"] * 40)
    pid = int(next(answers) or 0)
    assert is_there(pid)
    answers.close()
    assert not is_there(pid)


def all_undone(count: int) -> list[None]:
    return [None] * count


def test_program_that_cannot_be_started_leaves_the_work_undone() -> None:
    """Whoever asked does it himself."""
    nobody = LocalCrew(("/nonexistent",), GREETING, 2)
    assert list(nobody.carry([b"x"] * 5)) == all_undone(5)


def test_other_version_is_not_asked() -> None:
    """Code that was updated on disk under a daemon of the old one compiles nothing for it."""
    others = LocalCrew(argv("return work", b"version 2"), GREETING, 2)
    assert list(others.carry([b"x"] * 5)) == all_undone(5)


@pytest.mark.parametrize(
    "body",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "raise RuntimeError",
        "os.write(3, b''); return sys.exit()",
    ],
    ids=["leaves", "is killed", "fails", "fails otherwise"],
)
def test_process_that_dies_costs_its_pieces(body: str) -> None:
    """What it had comes back undone; what comes after it is not lost either."""
    assert list(crew(body).carry([b"x"] * 20)) == all_undone(20)


def test_death_of_one_leaves_the_others_at_work() -> None:
    """Only what the dead one had at that time is undone."""
    body = "os._exit(1) if work == b'deadly' else None; return work"
    works = [b"a"] * 5 + [b"deadly"] + [b"b"] * 30
    found = list(crew(body).carry(works))
    assert found[5] is None
    assert all(answer in (work, None) for answer, work in zip(found, works, strict=True))
    assert 1 <= found.count(None) <= 2, "the piece itself, and one that waited behind it"


def test_silent_process_is_ended() -> None:
    """One that hangs costs so long and no longer, also when it no longer listens to signals."""
    hangs = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    assert list(crew(hangs, patience_s=0.3).carry([b"x"] * 3)) == all_undone(3)


@pytest.mark.parametrize(
    "said",
    [
        b"\\xff" * 64,
        b"\\0\\0\\0\\x05unask\\0\\0\\0\\x05unask\\0\\0\\0\\x05unask\\0\\0\\0\\x05unask",
    ],
    ids=["no frame", "more than was asked"],
)
def test_rubbish_ends_who_says_it(said: bytes) -> None:
    """An answer of an impossible length, and one to no question."""
    rubbish = f"os.write(answers_fd, b'{said.decode()}'); time.sleep(3600)"
    finds = "answers_fd = max(map(int, os.listdir('/proc/self/fd')[:-1])); "
    found = list(crew(finds + rubbish, patience_s=5).carry([b"x"] * 20))
    assert found.count(None) >= 16, "all but what two had taken when they said it"
    assert set(found) <= {None, b"unask"}


def test_what_a_member_prints_is_no_answer() -> None:
    """A library that prints does not break the line."""
    assert list(crew("print('hello', flush=True); return work").carry([b"x"] * 3)) == [b"x"] * 3


def test_members_know_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret reaches them, and nothing that changes what code they run."""
    monkeypatch.setenv("FLOWRUNNER_SECRET_X", "hush")
    answers = crew("return ' '.join(os.environ).encode()").carry([b"x"])
    (names,) = answers
    assert names is not None
    assert "FLOWRUNNER_SECRET_X" not in names.decode().split()


def test_kernel_ends_a_member_that_never_comes_back() -> None:
    """While it works an alarm runs: who asked may have been killed, and nobody else would."""
    (left,) = crew("return str(signal.getitimer(signal.ITIMER_REAL)[0]).encode()").carry([b"x"])
    assert float(left or 0) > 0


ASKER = """
import sys
from flowrunner.system.local_crew import LocalCrew
answers = LocalCrew({argv!r}, {greeting!r}, 2).carry([b"x"] * 1000)
print(next(answers).decode(), flush=True)
sys.stdin.read()
"""


def test_members_end_with_who_asks() -> None:
    """A daemon that is killed leaves no process behind."""
    member = argv("return str(os.getpid()).encode()")
    script = ASKER.format(argv=member, greeting=GREETING)
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe) as asker:
        assert asker.stdout is not None
        pid = int(asker.stdout.readline())
        watch = os.pidfd_open(pid)
        asker.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([watch], [], [], PATIENCE_S)
    os.close(watch)
    assert ended


@pytest.mark.parametrize(("processors", "members"), [(1, 0), (2, 2), (3, 3), (64, 4)])
def test_crew_is_as_large_as_the_processors_that_we_may_use(
    monkeypatch: pytest.MonkeyPatch, processors: int, members: int
) -> None:
    """One alone would only wait for us, and we for it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    assert members_here() == members


def test_pieces_are_taken_no_further_ahead_than_needed() -> None:
    """What waits takes memory: a large source is not read as a whole before it is worked on."""
    taken: list[int] = []

    def works() -> Iterator[bytes]:
        for number in range(1_000):
            taken.append(number)
            yield b"x"

    answers: Answers = crew("return work").carry(works())
    next(answers)
    assert len(taken) <= 20
    answers.close()
