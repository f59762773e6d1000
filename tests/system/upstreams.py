"""Repositories that others push to, and daemons that pull their flows from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.system.daemon import OPEN, RunningDaemon, daemon, eventually
from tests.system.repositories import commit, git

SHOWS_FILES = 'cat "$FLOW_DIR/word.txt"; echo "dir=$FLOW_DIR"'


class Upstream:
    """A repository that others push to, and a person's checkout of it."""

    def __init__(self, folder: Path) -> None:
        self.remote = folder / "remote.git"
        self.work = folder / "work"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(folder, "clone", "--quiet", str(self.remote), str(self.work))
        git(self.work, "checkout", "--quiet", "-b", "main")

    def write(self, name: str, text: str) -> None:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def push(self, message: str = "change") -> str:
        """Commits everything, pushes, and returns the revision."""
        commit(self.work, message)
        return self.push_head()

    def push_head(self, *options: str) -> str:
        """Pushes what is committed, and returns the revision."""
        git(self.work, "push", "--quiet", *options, "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")


def git_settings(upstream: Upstream, **more: str) -> dict[str, str]:
    """Returns the settings of a daemon that asks rarely by itself, as variables."""
    settings = {"url": str(upstream.remote), "path": "flows", "interval": "1d", **more}
    return {**OPEN, **{f"FLOWRUNNER_SOURCE__GIT__{k.upper()}": v for k, v in settings.items()}}


@contextmanager
def pulling(upstream: Upstream, tmp_path: Path, **more: str) -> Iterator[RunningDaemon]:
    with daemon(None, tmp_path / "state", env=git_settings(upstream, **more)) as running:
        yield running


def source_of(running: RunningDaemon) -> dict[str, Any]:
    return dict(running.request("/api/v1/source").json)


def condition(running: RunningDaemon, kind: str) -> tuple[str, str]:
    """Returns status and reason of a condition of the source."""
    found = {each["type"]: each for each in source_of(running)["conditions"]}
    return (found[kind]["status"], found[kind]["reason"]) if kind in found else ("", "")


def at_revision(running: RunningDaemon, revision: str) -> None:
    eventually(
        lambda: source_of(running)["revision"] == revision,
        lambda: f"{source_of(running)} {running.events}",
    )


def sync(running: RunningDaemon) -> dict[str, Any]:
    done = running.command("source", "sync", "--json", check=False)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def words_of(running: RunningDaemon, execution_id: str) -> str:
    assert running.ended(execution_id)["state"] == "succeeded"
    return running.logs(execution_id).splitlines()[0]
