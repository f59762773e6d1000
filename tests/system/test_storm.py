"""A storm of git under the daemon: every answer is the state of exactly one commit."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.profile import IS_LONG
from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.flow_files import NOTHING, flow_text
from tests.system.repositories import AUTHOR, git

pytestmark = [pytest.mark.system, pytest.mark.timeout(4 * 3_600 if IS_LONG else 120)]

PATIENCE_S = 600.0 if IS_LONG else 30.0
"""A pass takes as long as reading all flows anew, while somebody asks for them all the time."""
COMMITS, FLOWS = (500, 1_000) if IS_LONG else (50, 100)
MOST_PASSES_APART = 5
"""Steps of git between two waits for the daemon, at most."""


def flow_of(number: int, generation: int) -> str:
    """A flow in whose every version the number of the commit stands."""
    return flow_text(f"flow-{number}", f"description: g{generation}\n", NOTHING)


def make_commits(repository: Path, count: int, flows: int) -> list[str]:
    """Makes commits that each rewrite all flows; every third one begins a new history.

    Commit g lacks the flow whose number is g modulo the number of flows: files come and go too.
    """
    stream: list[str] = []
    for generation in range(count):
        stream.append(f"commit refs/heads/main\nmark :{generation + 1}\n")
        stream.append(f"committer A <a@example.com> {1_700_000_000 + generation} +0000\n")
        stream.append("data 0\n")
        if generation and generation % 3:
            stream.append(f"from :{generation}\n")
        elif generation:
            stream.append("from 0000000000000000000000000000000000000000\n")
        stream.append("deleteall\n")
        for number in range(flows):
            if number != generation % flows:
                text = flow_of(number, generation)
                stream.append(f"M 100644 inline flows/{number % 10}/{number}.yaml\n")
                stream.append(f"data {len(text)}\n{text}\n")
        stream.append("\n")
    marks = repository / "marks"
    subprocess.run(
        ["git", "-C", str(repository), "fast-import", "--quiet", "--force",
         f"--export-marks={marks}"],
        input="".join(stream), text=True, check=True, env={**os.environ, **AUTHOR},
    )  # fmt: skip
    found = dict(line.split(" ") for line in marks.read_text().splitlines())
    return [found[f":{generation + 1}"] for generation in range(count)]


@dataclass
class Reader:
    """Reads all flows in one answer, again and again.

    Attributes:
        mixed: Answers that are the state of no commit.
        seen: Generations that answers had.
    """

    running: RunningDaemon
    revisions: list[str]
    mixed: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    answers: int = 0

    def read(self) -> None:
        items = self.running.request(f"/api/v1/flows?limit={FLOWS}").json["items"]
        self.answers += 1
        found = {(item["description"], item["revision"]) for item in items}
        if len(found) != 1:
            self.mixed.append(f"{len(items)} flows of {sorted(found)}")
            return
        ((description, revision),) = found
        generation = int(description[1:])
        self.seen.add(generation)
        names = {item["name"] for item in items}
        expected = {f"flow-{number}" for number in range(FLOWS) if number != generation % FLOWS}
        if (names, revision) != (expected, self.revisions[generation]):
            self.mixed.append(f"g{generation} at {revision}: {sorted(names ^ expected)}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Reads in a thread of its own meanwhile."""
        is_over = threading.Event()

        def work() -> None:
            while not is_over.is_set():
                self.read()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


class Person:
    """Moves the checkout from commit to commit in the ways that git has."""

    def __init__(self, checkout: Path, origin: Path, draw: random.Random) -> None:
        self._checkout = checkout
        self._origin = origin
        self._draw = draw

    def move(self, revision: str) -> None:
        way = self._draw.choice([self._push, self._check_out, self._reset, self._branch])
        way(revision)

    def _push(self, revision: str) -> None:
        """Somebody force-pushes, and a timer fetches and follows."""
        git(self._origin, "update-ref", "refs/heads/main", revision)
        git(self._checkout, "fetch", "--quiet", "origin", "+main:refs/remotes/origin/main")
        git(self._checkout, "reset", "--quiet", "--hard", "origin/main")

    def _check_out(self, revision: str) -> None:
        git(self._checkout, "checkout", "--quiet", "--detach", revision)

    def _reset(self, revision: str) -> None:
        git(self._checkout, "reset", "--quiet", "--hard", revision)

    def _branch(self, revision: str) -> None:
        git(self._checkout, "checkout", "--quiet", "-B", "topic", revision)


@pytest.mark.parametrize(
    ("read", "commits"),
    [("auto", COMMITS), ("head", COMMITS // 5), ("worktree", COMMITS // 5)],
)
def test_every_answer_is_the_state_of_one_commit(
    read: str, commits: int, tmp_path: Path, state: Path
) -> None:
    """While commits, force-pushes and checkouts run, no answer mixes two of them."""
    origin, checkout = tmp_path / "origin.git", tmp_path / "checkout"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", str(origin))
    revisions = make_commits(origin, commits, FLOWS)
    git(tmp_path, "clone", "--quiet", str(origin), str(checkout))
    git(checkout, "fetch", "--quiet", "origin", *revisions)
    draw = random.Random(7)
    person = Person(checkout, origin, draw)
    person.move(revisions[0])
    environment = {
        **OPEN,
        "FLOWRUNNER_SOURCE__READ": read,
        "FLOWRUNNER_SOURCE__DEBOUNCE": "0s",
        "FLOWRUNNER_SOURCE__RESYNC": "1s",
    }

    with daemon(checkout / "flows", state, env=environment) as running:
        reader = Reader(running, revisions)
        with reader.reading():
            following = 0
            for generation, revision in enumerate(revisions):
                person.move(revision)
                following += 1
                if following > draw.randint(0, MOST_PASSES_APART) or revision == revisions[-1]:
                    following = 0
                    eventually(
                        lambda: generation in reader.seen,  # noqa: B023 - awaited in this turn
                        lambda: running.events,
                        patience_s=PATIENCE_S,
                    )
        assert reader.mixed == []
        assert reader.answers > len(reader.seen) > commits // MOST_PASSES_APART
        assert running.source_condition()["status"] == "True"
