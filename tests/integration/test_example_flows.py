"""The flows in flows/ do what they say, on the real engine with real processes."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowrunner.daemon.local_run import execute_file
from tests.unit.docs.pages import ROOT

FLOWS = ROOT / "flows"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@dataclass(frozen=True)
class Ended:
    """How a flow file ended, with everything that its nodes printed."""

    state: str
    output: str


def execute(path: Path, inputs: Mapping[str, str]) -> Ended:
    """Runs a flow file as `flowrunner run FILE` does, but for the hardening of the process."""
    lines: list[str] = []
    end = execute_file(path, inputs, lines.append, {})
    return Ended(end.state, "\n".join(lines))


@dataclass(frozen=True)
class Repository:
    """A git repository with a branch `main`."""

    folder: Path

    def git(self, *arguments: str) -> str:
        """Runs git in the repository, as nobody in particular."""
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        done = subprocess.run(
            ["git", "-C", str(self.folder), *identity, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, name: str, text: str) -> str:
        """Commits one file and returns the commit."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.git("add", name)
        self.git("commit", "--quiet", "--message", f"Change {name}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository; its folder has a space in its name."""
    folder = tmp_path / "some repository"
    folder.mkdir()
    made = Repository(folder)
    made.git("init", "--quiet", "--initial-branch=main")
    return made


def test_disk_space_succeeds_below_its_limit() -> None:
    """A file system that is not full passes, and the log shows what df said."""
    ended = execute(FLOWS / "disk-space.yaml", {"limit": "100"})

    assert ended.state == "succeeded", ended.output
    assert "Filesystem" in ended.output


def test_disk_space_fails_at_its_limit() -> None:
    """A file system at the limit fails the flow, with a message a person can act on."""
    ended = execute(FLOWS / "disk-space.yaml", {"limit": "1"})

    assert ended.state == "failed"
    assert "full: the file system of / is " in ended.output
    assert ended.output.endswith(" percent full, the limit is 1")


def test_disk_space_fails_for_a_path_that_is_gone(tmp_path: Path) -> None:
    """A path that does not exist fails the check with what df said, not with a wrong number."""
    ended = execute(FLOWS / "disk-space.yaml", {"path": str(tmp_path / "gone")})

    assert ended.state == "failed"
    assert "No such file or directory" in ended.output
    assert "percent full" not in ended.output


LENIENT = {"least_memory": "0", "most_load": "1000000", "most_inodes": "100"}


def test_host_health_passes_within_its_limits() -> None:
    """A healthy host passes, and one line of the log sums up all four looks."""
    ended = execute(FLOWS / "host-health.yaml", LENIENT)

    assert ended.state == "succeeded", ended.output
    assert re.search(r"memory available \d+ %, load \d+ %, inodes used \d+ %", ended.output)


def test_host_health_fails_by_the_name_of_what_is_wrong() -> None:
    """What is beyond its limit fails under its own name, and nothing else does."""
    ended = execute(FLOWS / "host-health.yaml", {**LENIENT, "least_memory": "100"})

    assert ended.state == "failed"
    assert re.search(r"memory_low: only \d+ percent of the memory is available", ended.output)
    assert "load_high" not in ended.output
    assert "inodes_low" not in ended.output


@needs_git
def test_deploy_switches_to_each_commit(repository: Repository, tmp_path: Path) -> None:
    """Each deploy puts the branch's commit into service and leaves the releases before it."""
    target = tmp_path / "some target"
    inputs = {"repository": str(repository.folder), "target": str(target)}
    commits = []
    for text in ("one", "two"):
        commits.append(repository.commit("page.txt", text))

        ended = execute(FLOWS / "deploy.yaml", inputs)

        assert ended.state == "succeeded", ended.output
        assert (target / "current").readlink() == Path("releases", commits[-1])
        assert (target / "current/page.txt").read_text(encoding="utf-8") == text
    assert {path.name for path in (target / "releases").iterdir()} == set(commits)


@needs_git
def test_deploy_of_the_same_commit_changes_nothing(repository: Repository, tmp_path: Path) -> None:
    """A second deploy of a commit keeps the release as it is."""
    repository.commit("page.txt", "one")
    target = tmp_path / "target"
    inputs = {"repository": str(repository.folder), "target": str(target)}
    execute(FLOWS / "deploy.yaml", inputs)
    before = (target / "current/page.txt").stat()

    ended = execute(FLOWS / "deploy.yaml", inputs)

    assert ended.state == "succeeded", ended.output
    assert (target / "current/page.txt").stat().st_ino == before.st_ino


@needs_git
def test_deploy_takes_the_repository_that_holds_it(repository: Repository, tmp_path: Path) -> None:
    """Without the input `repository` a checkout deploys itself."""
    text = (FLOWS / "deploy.yaml").read_text(encoding="utf-8")
    commit = repository.commit("flows/deploy.yaml", text)
    target = tmp_path / "target"

    ended = execute(repository.folder / "flows/deploy.yaml", {"target": str(target)})

    assert ended.state == "succeeded", ended.output
    assert (target / "current").readlink() == Path("releases", commit)
    assert (target / "current/flows/deploy.yaml").read_text(encoding="utf-8") == text


@needs_git
@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("--output=stolen", "is not a branch"),
        ("HEAD", "is not a branch"),
        ("refs/heads/gone", "has no refs/heads/gone"),
        ("refs/heads/$(touch stolen)", "has no refs/heads/$(touch stolen)"),
    ],
    ids=["an-option", "not-a-branch", "no-such-branch", "a-command"],
)
def test_deploy_refuses_a_bad_ref(
    ref: str, message: str, repository: Repository, tmp_path: Path
) -> None:
    """A ref that is no branch of the repository fails the flow and deploys nothing."""
    repository.commit("page.txt", "one")
    target = tmp_path / "target"
    inputs = {"repository": str(repository.folder), "target": str(target), "ref": ref}

    ended = execute(FLOWS / "deploy.yaml", inputs)

    assert ended.state == "failed"
    assert message in ended.output
    assert not target.exists()


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1, and its key."""

    file: Path
    key: Path


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """A certificate that has 30 days left, all but some seconds."""
    made = Certificate(tmp_path / "some certificate.pem", tmp_path / "key.pem")
    kind = ("-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    where = ("-days", "30", "-subj", "/CN=localhost", "-out", str(made.file), "-keyout")
    subprocess.run(
        ["openssl", "req", *kind, *where, str(made.key)], check=True, capture_output=True
    )
    return made


def shows_once(certificate: Certificate, listener: socket.socket) -> None:
    """Answers one client with the certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key)
    connection, _ = listener.accept()
    with suppress(OSError), context.wrap_socket(connection, server_side=True) as shown:
        shown.recv(1)


@needs_openssl
def test_certificate_of_a_file_passes_while_it_has_time(certificate: Certificate) -> None:
    """A certificate with days enough passes, and the log says when it ends."""
    ended = execute(
        FLOWS / "certificate.yaml", {"certificate": str(certificate.file), "days": "29"}
    )

    assert ended.state == "succeeded", ended.output
    assert re.search(r"some certificate\.pem expires .* GMT, in (29|30) days", ended.output)


@needs_openssl
def test_certificate_that_ends_soon_fails_by_name(certificate: Certificate) -> None:
    """One with fewer days fails with the day on which it ends."""
    ended = execute(
        FLOWS / "certificate.yaml", {"certificate": str(certificate.file), "days": "31"}
    )

    assert ended.state == "failed"
    assert re.search(r"soon: the certificate of /.* expires .* GMT, in (29|30) days", ended.output)


@needs_openssl
def test_certificate_of_a_server_is_the_one_it_shows(certificate: Certificate) -> None:
    """Over TLS the same is found out, though nobody trusts the certificate."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=shows_once, args=(certificate, listener))
        server.start()
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        ended = execute(FLOWS / "certificate.yaml", {"certificate": place, "days": "29"})
        server.join()

    assert ended.state == "succeeded", ended.output
    assert re.search("in (29|30) days", ended.output)


@needs_openssl
def test_certificate_that_is_none_fails(tmp_path: Path) -> None:
    """A file without a certificate fails the check with what openssl said, and is tried again."""
    path = tmp_path / "none.pem"
    path.write_text("nothing\n", encoding="utf-8")
    text = (FLOWS / "certificate.yaml").read_text(encoding="utf-8")
    quick = tmp_path / "certificate.yaml"
    quick.write_text(text.replace("delay: 10s", "delay: 10ms"), encoding="utf-8")

    ended = execute(quick, {"certificate": str(path)})

    assert ended.state == "failed"
    assert ended.output.count("Could not read certificate from") == 3
