"""A real git repository of a test, blind to the git settings of whoever runs the tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class Checkout:
    """A repository with its worktree; `hash_name` is git's word for how it names objects."""

    def __init__(self, path: Path, hash_name: str = "sha1") -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", f"--object-format={hash_name}")

    def git(self, *arguments: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env=env,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, name: str, text: str) -> str:
        """Commits one file, and whatever else there is, and returns the commit."""
        self.write(name, text)
        return self.commit_all()

    def commit_all(self) -> str:
        """Commits everything that changed and returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")
